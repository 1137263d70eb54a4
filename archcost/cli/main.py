"""The entry point: ``archcost COMMAND ...``, and how every command ends.

Data goes to stdout, everything else to stderr. Exit codes: 0 success, 1 a negative answer, 2 bad usage or input, 130
interrupted.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from archcost import __version__
from archcost.errors import ArchcostError, did_you_mean

COMMANDS: dict[str, tuple[str, str]] = {
    "models": ("archcost.cli.models", "List the networks of the catalogue."),
    "summary": ("archcost.cli.summary", "Show what a network costs, layer by layer."),
    "compare": ("archcost.cli.compare", "Show networks side by side; --ops splits the cost by kind of operator."),
    "audit": ("archcost.cli.audit", "Check every documented figure against what is computed."),
    "bench": ("archcost.cli.bench", "Measure archcost side by side with other runtimes, where they are installed."),
    "export": ("archcost.cli.export", "Write a network as ONNX, as our own graph or as Graphviz text."),
    "predict": ("archcost.cli.predict", "Classify images with weights from a file."),
    "profile": ("archcost.cli.profile", "Run a network: time per layer, GFLOP/s, share of the machine's roofline."),
    "reconcile": ("archcost.cli.reconcile", "Explain what every other counter prints for a network."),
    "train": ("archcost.cli.train", "Train a network on images, and report what it reached and what it cost."),
    "tune": ("archcost.cli.tune", "Measure which way each 3x3 convolution of a network is fastest here, and keep it."),
    "verify": ("archcost.cli.verify", "Execute networks with counting loops: what is computed is what is done."),
}
"""Command -> (module that holds it as ``command``, one line of help). A module is imported when its command runs."""

EPILOG = """\b
Examples:
  archcost summary resnet50
  archcost compare vgg16 resnet50 mobilenet_v2 --ops
  archcost reconcile resnet50 4.11G
"""


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is used, and lists the others from ``COMMANDS``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name][0]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS:
            raise click.UsageError(f"unknown command {args[0]!r}{did_you_mean(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", prog_name="archcost")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def group(debug: bool) -> None:
    """What a convolutional architecture costs: parameters, mult-adds, FLOPs, memory; and the proof.

    MODEL is a name that `archcost models` lists, an ONNX file (.onnx), a graph file (.json), or file.py:function, which
    returns a graph.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; an error is one line on stderr."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        code = group.main(words, prog_name="archcost", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.exceptions.Abort:
        _fail("interrupted", 130)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except click.ClickException as error:
        if debug:
            raise
        _fail(error.format_message(), 2)
    except BrokenPipeError:
        _silence_stdout()
        sys.exit(0)
    except OSError as error:
        if debug:
            raise
        _silence_stdout()
        _fail(f"cannot write the output: {error.strerror or error}", 2)
    except ArchcostError as error:
        if debug:
            raise
        _fail(str(error), 2)
    except RecursionError:
        if debug:
            raise
        _fail("the input is nested too deeply", 2)
    sys.exit(code if isinstance(code, int) else 0)


def _silence_stdout() -> None:
    """Keep the interpreter from complaining about a stdout that takes nothing when it flushes it at its end."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, code: int) -> None:
    """Print one line and exit with ``code``."""
    line = " ".join(message.split())
    print(f"archcost: error: {line}" if code != 130 else f"archcost: {line}", file=sys.stderr)  # noqa: T201
    sys.exit(code)
