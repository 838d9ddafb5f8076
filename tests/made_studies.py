"""Studies' results made by hand, with no gauge behind them."""

from steergauge.studies.study_result import (
    Column,
    Conclusion,
    FigurePoint,
    Matrix,
    Series,
    StudyFigure,
    StudyResult,
    StudyTable,
)


def study_result(name: str, *conclusions: Conclusion, text: str = "a model") -> StudyResult:
    """A study with a table, a chart and a matrix in which a text stands everywhere."""
    return StudyResult(
        study=name,
        question=f"What of {text}?",
        tables=(
            StudyTable(
                name="one",
                title=f"Table of {text}",
                columns=(Column(key="model", title="Model"),),
                rows=({"model": text},),
                notes=(f"Note on {text}",),
            ),
        ),
        figures=(
            StudyFigure(
                name="one",
                title=f"Figure of {text}",
                x_label="model",
                y_label="share",
                series=(Series(name=text, points=(FigurePoint(x=text, y=0.5, low=0.4, high=0.6),)),),
            ),
            Matrix(
                name="pairs",
                title=f"Matrix of {text}",
                rows_label="source",
                columns_label="target",
                rows=(text,),
                columns=(text,),
                values=((0.5,),),
                words=((text,),),
            ),
        ),
        conclusions=conclusions,
        cautions=(f"Mind {text}",),
        settings={"judge": "study"},
        gauges={},
        steergauge="0",
        versions={},
        hardware={},
        started="2026-01-01T00:00:00+00:00",
        seconds=1.0,
        made_now=0,
    )
