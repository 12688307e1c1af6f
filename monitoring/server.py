"""A Prometheus of one's own, for demonstrations and tests, where its program is on the PATH."""

import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml

PROGRAM: Final = "prometheus"
_FOLDER: Final = Path(__file__).parent / "prometheus"
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 10.0


def write_config(targets: Mapping[str, str], path: Path) -> None:
    """Write a configuration that scrapes `targets` (host:port by jurisdiction code), with our rules.

    All else is as in `prometheus/prometheus.yml`, which is the one for containers.
    """
    config: Any = yaml.safe_load((_FOLDER / "prometheus.yml").read_text("utf-8"))
    config["rule_files"] = [str(_FOLDER / "rules.yml")]
    [job] = config["scrape_configs"]
    job["static_configs"] = [
        {"targets": [target], "labels": {"node": code}} for code, target in sorted(targets.items())
    ]
    path.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), "utf-8")


class PrometheusServer:
    """Runs `prometheus` on loopback while entered, or from `start` to `stop`."""

    def __init__(self, targets: Mapping[str, str], data_dir: Path, port: int) -> None:
        """`targets` as for `write_config`; `data_dir` is made and keeps the series and the log."""
        self.url = f"http://127.0.0.1:{port}"
        self._targets = targets
        self._folder = data_dir
        self._address = f"127.0.0.1:{port}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id.

        Raises:
            ProcessLookupError: it does not run.
        """
        if self._process is None:
            raise ProcessLookupError("prometheus was not started")
        return self._process.pid

    @staticmethod
    def available() -> bool:
        """Whether the program is on the PATH."""
        return shutil.which(PROGRAM) is not None

    def start(self) -> Self:
        """Start it and wait until it answers.

        Raises:
            FileNotFoundError: the program is not on the PATH.
            RuntimeError: it ended, or does not answer within 30 s; its log says why.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "prometheus.yml"
        write_config(self._targets, config)
        log = self._folder / "prometheus.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own arguments
                [
                    shutil.which(PROGRAM) or PROGRAM,
                    f"--config.file={config}",
                    f"--storage.tsdb.path={self._folder / 'series'}",
                    "--storage.tsdb.retention.time=2d",
                    f"--web.listen-address={self._address}",
                    "--enable-feature=exemplar-storage",
                    "--log.level=warn",
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        until = time.monotonic() + _START_SECONDS
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise RuntimeError(f"prometheus does not answer at {self.url}; see {log}")
            time.sleep(0.05)
        return self

    def stop(self) -> None:
        """Stop it, and only it."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1.0) as answer:  # noqa: S310 - our own address
                return bool(answer.status == 200)  # noqa: PLR2004
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
