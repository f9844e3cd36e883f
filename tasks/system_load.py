"""How busy this machine is while runs are at work: CPU, memory, GPUs, under the names of MLflow's own monitor.

MLflow's monitor itself does not fit: it talks on the terminal, waits for the server when a run ends, and numbers its
samples, so that a resumed run would have them twice. Here a step is the number of seconds since the run began.
"""

import logging
import os
import threading
import time
from collections.abc import Callable

from mlflow.system_metrics.metrics.base_metrics_monitor import BaseMetricsMonitor
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

log = logging.getLogger(__name__)

SECONDS = 10.0
"""Between two samples, unless `MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL` says otherwise; 0 takes none."""
Send = Callable[[str, int, dict[str, float]], None]


class SystemLoad:
    """Samples the machine in a thread of its own while at least one run is watched."""

    def __init__(self, send: Send) -> None:
        """`send` gets a run's id, the seconds since it began, and the sample; it must not raise."""
        self._send = send
        self._began: dict[str, float] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._seconds = float(os.environ.get("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL") or SECONDS)

    def watch(self, run_id: str, began: float) -> None:
        """Send samples to this run from now on; `began` is in seconds since 1970."""
        if self._seconds <= 0:
            return
        with self._lock:
            idle = not self._began
            self._began[run_id] = began
            if idle:
                self._over = threading.Event()
                threading.Thread(target=self._sample, args=(self._over,), name="system load", daemon=True).start()

    def leave(self, run_id: str) -> None:
        """Send no more to this run; waits for nothing."""
        with self._lock:
            self._began.pop(run_id, None)
            if not self._began:
                self._over.set()

    def _sample(self, over: threading.Event) -> None:
        monitors = _monitors()
        while not over.wait(self._seconds):
            found: dict[str, float] = {}
            for monitor in monitors:
                monitor.collect_metrics()
                means: dict[str, float] = monitor.aggregate_metrics()  # type: ignore[assignment]
                found |= {f"system/{name}": value for name, value in means.items()}
                monitor.clear_metrics()
            with self._lock:
                runs = dict(self._began)
            for run_id, began in runs.items():
                self._send(run_id, round(time.time() - began), found)


def _monitors() -> list[BaseMetricsMonitor]:
    """What can be asked on this machine; the first sample counts from now."""
    monitors: list[BaseMetricsMonitor] = [CPUMonitor()]
    logging.getLogger(GPUMonitor.__module__).setLevel(logging.ERROR)  # else a warning at every sample
    try:
        monitors.append(GPUMonitor())
    except Exception as error:  # no driver, or no library that asks it
        log.debug("no load of GPUs: %s", error)
    for monitor in monitors:
        monitor.collect_metrics()
        monitor.clear_metrics()
    return monitors
