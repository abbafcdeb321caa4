"""What every stage needs: objects built from configs, costs, clusters, provenance."""
