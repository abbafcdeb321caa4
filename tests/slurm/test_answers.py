"""What SLURM and its sites answer: banners around every line, numbers in other forms, records that cannot be read."""

import pytest
from queries import started, state

from lightning_mmdiff.errors import UserError
from slurm import __main__ as commands
from slurm import scheduler

PROGRAMS = ("sbatch", "squeue", "scontrol", "scancel")
BANNER = "*** 7 jobs of yours ran today; motd: maintenance on 2026-12-24 | ask help@site ***"


def test_a_banner_is_no_job_number(cluster, order, finished, wrap) -> None:
    wrap(f'echo "{BANNER}"; echo; echo 5 jobs; "$REAL" "$@"; code=$?; echo "{BANNER}"; echo; exit $code', *PROGRAMS)
    lines = order("--only", "evaluator")
    assert all(line.split()[-1].isdecimal() for line in lines)
    assert [line.split()[0] for line in order("--only", "evaluator")] == ["queued", "queued"]
    finished()
    assert started(cluster) == ["data", "evaluator"]
    assert {line.state for line in state(cluster).values()} == {"done"}


def test_an_answer_without_a_number_is_one_sentence(cluster, order, wrap) -> None:
    wrap('"$REAL" "$@" > /dev/null; echo "thank you"', "sbatch")
    with pytest.raises(UserError, match=r"answered 'thank you', without a job number; squeue --me shows"):
        order("--only", "evaluator")


REFUSE_THE_THIRD = """
echo x >> "$0.calls"
[ $(wc -l < "$0.calls") -eq 3 ] && scontrol update PartitionName=main State=INACTIVE
"$REAL" "$@"
"""


def test_what_is_queued_before_a_refusal_is_printed_kept_and_gone_on_with(
    cluster, order, finished, wrap, capsys
) -> None:
    wrap(REFUSE_THE_THIRD, "sbatch")
    (cluster / "wait-data").touch()
    try:
        with pytest.raises(UserError, match=r"partition.*The 2 jobs above stay as they are; submit again to go on"):
            order()
    finally:
        scheduler.run("scontrol", "update", "PartitionName=main", "State=UP")
    printed = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert printed == [["submitted", "toy_table-data"], ["submitted", "evaluator"]]
    now = {name: line.state for name, line in state(cluster).items()}
    assert {name for name, state in now.items() if state != "not submitted"} == {"toy_table-data", "evaluator"}
    assert len(now) == 6
    commands.resubmit("toy_table", "smoke", cluster / "runs", cluster / "cluster.toml")
    again = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert again == ["queued", "queued", "submitted", "submitted", "submitted", "submitted"]
    (cluster / "wait-data").unlink()
    finished()
    assert {line.state for line in state(cluster).values()} == {"done"}
    assert sorted(started(cluster)) == ["data", "evaluator", "expert", "real", "report", "samples"]


@pytest.mark.parametrize(
    "answer",
    ["12", "12;north", "Submitted batch job 12", "Submitted batch job 12 on cluster north", "hello 3\n\n12\n\nbye"],
)
def test_every_form_of_a_number(answer, wrap, tmp_path) -> None:
    wrap(f"printf '{answer}\\n'", "sbatch")
    assert scheduler.submit(tmp_path / "x.sbatch", "singleton") == "12"


DAMAGE = {
    "cut": lambda text: text[:40],
    "empty": lambda text: "",
    "a banner as number": lambda text: text.replace('"number": "', f'"number": "{BANNER}'),
    "a number as number": lambda text: text.replace('"number": "', '"number": 1, "other": "'),
    "a list": lambda text: "[]",
    "null": lambda text: "null",
    "no UTF-8": lambda text: "\udcff" + text,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_one_bad_record_never_disables_the_others(damage, cluster, order, finished, capsys) -> None:
    (cluster / "wait-evaluator").touch()
    (cluster / "fail-expert").touch()
    order("--only", "evaluator", "expert")
    (path,) = (cluster / "runs" / "smoke" / "slurm").glob("expert*.job.json")
    path.write_text(DAMAGE[damage](path.read_text()), errors="surrogateescape")
    with pytest.warns(UserWarning, match=rf"{path} cannot be read"):
        commands.status(profile="smoke", out=cluster / "runs")
    assert "evaluator" in capsys.readouterr().out
    with pytest.warns(UserWarning, match="delete it"):
        commands.cancel(("evaluator",), "smoke", cluster / "runs")
    finished()
    (cluster / "fail-expert").unlink()
    with pytest.warns(UserWarning, match="cannot be read"):
        assert "submitted expert" in " ".join(order("--only", "expert"))
    finished()
    assert state(cluster)["expert"].state == "done"
