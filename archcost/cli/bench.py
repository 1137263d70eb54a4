"""``archcost bench``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from archcost.cli.output import SUFFIXES, emit, warn
from archcost.errors import UsageError, did_you_mean
from archcost.report.formats import Format

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMATS = ("md", "table", "csv", "json")


@click.command(short_help="Measure archcost side by side with other runtimes, where they are installed.")
@click.argument("sections", nargs=-1, metavar="[inference] [training] [startup] [memory]")
@click.option("--models", multiple=True, metavar="PATTERN", help="Networks, such as resnet50 or 'vgg*'; repeat it.")
@click.option("--quick", is_flag=True, help="A few networks, short phases, few rounds.")
@click.option("--batch-size", "-b", "batches", type=click.IntRange(min=1), multiple=True, help="Of inference: 1 and 8.")
@click.option(
    "--against", multiple=True, metavar="RUNTIME", help="Only this one: onnxruntime, openvino, torch or none."
)
@click.option("--threads", type=click.IntRange(min=1), help="Threads (default: ARCHCOST_THREADS, else all processors).")
@click.option("--rounds", type=click.IntRange(min=1), help="Phases of each runtime (default: 5; 3 with --quick).")
@click.option("--seconds", type=click.FloatRange(min=0), help="Length of a phase (default: 1; 0.3 with --quick).")
@click.option("--json", "keep", type=click.Path(dir_okay=False), help="Keep all numbers here, after each comparison.")
@click.option("--resume", is_flag=True, help="Measure only what the file of --json does not hold yet.")
@click.option("--format", "output_format", type=click.Choice(FORMATS), help="Format of the report (default: md).")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write the report to this file.")
def command(
    sections: tuple[str, ...],
    models: tuple[str, ...],
    quick: bool,
    batches: tuple[int, ...],
    against: tuple[str, ...],
    threads: int | None,
    rounds: int | None,
    seconds: float | None,
    keep: str | None,
    resume: bool,
    output_format: str | None,
    output: str | None,
) -> None:
    """Measure inference, training steps, start-up and memory of archcost beside ONNX Runtime, OpenVINO, torch,
    torchinfo and fvcore; of those that are missing it says what installs them, and it runs without any.

    Every runtime has a process of its own and phases of its own; ratios are paired by rounds. Before anything is timed,
    the outputs are compared. Close other programs: lines that they disturbed are marked.

    \b
    Examples:
      archcost bench --quick
      archcost bench inference --models resnet50 --models 'vgg*' -b 1
      archcost bench training --against torch --rounds 9
      archcost bench --json bench.json -o bench.md
    """
    from archcost.bench.cases import BATCHES, MODELS, QUICK_MODELS, SECTIONS, chosen_models, training_cases
    from archcost.bench.run import Plan, memory_models, run
    from archcost.bench.tables import rendered
    from archcost.engine.team import thread_count

    if resume and keep is None:
        raise UsageError("`--resume` needs `--json FILE`, which holds what is measured already")
    form = _form(output_format, output)
    known = list(dict.fromkeys(sections))
    _check("section", known, SECTIONS)
    named = chosen_models(models) if models else None
    plan = Plan(
        sections=[name for name in SECTIONS if not known or name in known],
        models=named or (QUICK_MODELS if quick else MODELS),
        training=training_cases(named, quick=quick),
        batches=tuple(dict.fromkeys(batches)) or BATCHES,
        memory=memory_models(named, quick=quick),
        runtimes=_runtimes(against),
        threads=thread_count(threads),
        rounds=rounds or (3 if quick else 5),
        seconds=seconds if seconds is not None else (0.3 if quick else 1.0),
    )
    results = run(plan, warn, keep=Path(keep) if keep else None, resume=resume)
    if form == "json":
        import json

        emit(json.dumps(results.as_dict(), indent=1), output)
    else:
        emit(rendered(results, form), output)


def _form(output_format: str | None, output: str | None) -> Format:
    """Return the format that was asked for, or the one that the file's suffix names; else Markdown."""
    found: Format = "md"
    if output_format is not None:
        found = output_format  # type: ignore[assignment]  # click has checked it
    elif output is not None:
        found = SUFFIXES.get(Path(output).suffix.lower(), "md")
    if found not in FORMATS:
        raise UsageError(f"cannot write {output!r}: the report is {', '.join(FORMATS)}")
    return found


def _runtimes(against: tuple[str, ...]) -> list[str]:
    """Return archcost and the runtimes that it is measured against; both layouts of torch."""
    from archcost.bench.peers import OURS, RUNTIMES

    choices = [name for name in RUNTIMES if name not in (OURS, "torch-last")]
    if "none" in against:
        return [OURS]
    _check("runtime", against, choices)
    wanted = {*against, *(["torch-last"] if "torch" in against else [])} if against else set(RUNTIMES)
    return [name for name in RUNTIMES if name == OURS or name in wanted]


def _check(what: str, words: Iterable[str], allowed: Iterable[str]) -> None:
    allowed = list(allowed)
    for word in words:
        if word not in allowed:
            raise UsageError(f"unknown {what} {word!r}{did_you_mean(word, allowed)}; known are {', '.join(allowed)}")
