"""steergauge measures how steerable a language model is, and how sure you can be.

import steergauge as sg

model = sg.load_model("qwen2.5-coder-0.5b")
result = sg.gauge(model)
print(result.verdict)
result.to_pandas()
sg.write_html(result, "report.html")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steergauge.directions.control_vectors import save_control_vectors as save_control_vectors
    from steergauge.directions.extract import extract_direction as extract_direction
    from steergauge.directions.files import load_direction as load_direction
    from steergauge.directions.files import save_direction as save_direction
    from steergauge.errors import InstrumentError as InstrumentError
    from steergauge.errors import SteergaugeError as SteergaugeError
    from steergauge.models.loading import Model as Model
    from steergauge.models.loading import load_model as load_model
    from steergauge.prompts import ContrastSet as ContrastSet
    from steergauge.prompts import EvaluationSet as EvaluationSet
    from steergauge.prompts import load_contrast_set as load_contrast_set
    from steergauge.prompts import load_evaluation_set as load_evaluation_set
    from steergauge.report.html import write_html as write_html
    from steergauge.report.study_files import write_study as write_study
    from steergauge.store import Store as Store
    from steergauge.studies.calibrate import calibrate as calibrate
    from steergauge.studies.gauge import gauge as gauge
    from steergauge.studies.measure_pairs import measure_pairs as measure_pairs
    from steergauge.studies.measure_stability import measure_stability as measure_stability
    from steergauge.studies.result import GaugeResult as GaugeResult
    from steergauge.studies.settings import GaugeSettings as GaugeSettings
    from steergauge.studies.stability import StabilitySettings as StabilitySettings
    from steergauge.studies.study import read_study as read_study
    from steergauge.studies.study import run_study as run_study

# Where each public name lives; torch is imported when one that needs it is first used.
_PUBLIC = {
    "ContrastSet": "prompts",
    "EvaluationSet": "prompts",
    "GaugeResult": "studies.result",
    "GaugeSettings": "studies.settings",
    "InstrumentError": "errors",
    "Model": "models.loading",
    "StabilitySettings": "studies.stability",
    "SteergaugeError": "errors",
    "Store": "store",
    "calibrate": "studies.calibrate",
    "extract_direction": "directions.extract",
    "gauge": "studies.gauge",
    "load_contrast_set": "prompts",
    "load_direction": "directions.files",
    "load_evaluation_set": "prompts",
    "load_model": "models.loading",
    "measure_pairs": "studies.measure_pairs",
    "measure_stability": "studies.measure_stability",
    "read_study": "studies.study",
    "run_study": "studies.study",
    "save_control_vectors": "directions.control_vectors",
    "save_direction": "directions.files",
    "write_html": "report.html",
    "write_study": "report.study_files",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'steergauge' has no attribute {name!r}")
    return getattr(import_module(f"steergauge.{_PUBLIC[name]}"), name)
