"""What every stage needs: configs become objects, costs, clusters, provenance."""
