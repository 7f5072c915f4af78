"""TRL's PPO as a process in the second environment: start it, ask for updates, read its lines."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from second_environment import process_variables

DRIVER = Path(__file__).resolve().with_name("trl_ppo.py")


class TRLFault(RuntimeError):
    """The process ended before it was done; the message has the end of what it said."""


class TRLProcess:
    """A running `trl_ppo.py`; a context manager that ends it.

    Args:
        python: of the second environment.
        job: fields of `trl_ppo.TRLJob`.
        folder: for the job's file and the process's log, made if need be.
    """

    def __init__(self, python: Path, job: Mapping[str, Any], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        file, self.log = folder / "job.json", folder / "trl.log"
        file.write_text(json.dumps(dict(job), indent=1))
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [python, DRIVER, file],
                stdin=subprocess.PIPE if job.get("paced") else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=process_variables(int(job.get("threads", 1))),
            )

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row an update, until the job is done.

        Raises:
            TRLFault: when the process fails.
        """
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield json.loads(line)
        if self.process.wait():
            raise TRLFault(self._last_words())

    def next_row(self) -> dict[str, Any]:
        """The next line: of a paced process first that it is ready.

        Raises:
            TRLFault: when there is none.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise TRLFault(self._last_words())
        return json.loads(line)

    def update(self, rollout_batch: int | None = None) -> dict[str, Any]:
        """Let a paced process do one update, in rollout batches of another size if one is given."""
        assert self.process.stdin is not None
        print(rollout_batch or "", file=self.process.stdin, flush=True)
        return self.next_row()

    def __enter__(self) -> TRLProcess:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process: by the end of its input, or by force."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        else:
            self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _last_words(self) -> str:
        said = self.log.read_text().strip().splitlines()
        return f"TRL's process ended early: {said[-1] if said else 'it said nothing'} ({self.log})"
