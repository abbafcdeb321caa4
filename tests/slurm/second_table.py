"""A second table of the same runs: an expert more, and a metric more of the samples of both."""

import toy_table


def table(profile, seed):
    """The rows of the first table, and one of another expert."""
    from dataclasses import replace

    import small_runs

    from experiments.protocols.catalogue import column
    from experiments.runs import seeded

    found = toy_table.table(profile, seed)
    expert = replace(small_runs.expert(steps=2, seed=seed), name=seeded("other-expert", seed))
    samples = replace(small_runs.samples(expert), name=seeded("other-samples", seed))
    row = replace(found.rows[0], label="other", sample=samples)
    metrics = (*found.metrics, column("PD-EffNetLite0"))
    return replace(found, name="second_table", rows=(*found.rows, row), metrics=metrics)


if __name__ == "__main__":
    toy_table.main("SSIM", "PD-EffNetLite0")
