"""`{experiment} NAME`: what the laboratory measured, read from docs/results/lab when the page is built."""

import json
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from plusx.lab import EXPERIMENTS
from plusx.lab.runner import VERDICT_WORDS

RESULTS = Path(__file__).parents[1] / "results" / "lab"

PAGE = {
    "en": """
::::{{admonition}} Experiment {name}: {verdict}
:class: experiment {colour}

{question}

**Measured.** {because}

![{name}](/docs/results/lab/{name}/figure.png)

Again: `{command}` · [all its numbers](/docs/laboratory.md#{name})
::::
""",
    "zh": """
::::{{admonition}} 实验 {name}：{verdict}
:class: experiment {colour}

{question}

**测得**：{because}

![{name}](/docs/results/lab/{name}/figure.png)

重做：`{command} -l zh` · [全部数字](/docs/laboratory.md#{name})
::::
""",
}
COLOURS = {"holds": "tip", "holds with conditions": "caution", "does not hold": "danger"}


class ExperimentDirective(SphinxDirective):
    """A box with question, verdict, figure and command."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Judge the published numbers and show the judgement."""
        name = self.arguments[0]
        file = RESULTS / name / "result.json"
        self.env.note_dependency(file)
        result = json.loads(file.read_text(encoding="utf-8"))
        language = "zh" if self.config.language.startswith("zh") else "en"
        experiment, (verdict, because) = EXPERIMENTS[name], EXPERIMENTS[name].judge(result["numbers"])
        text = PAGE[language].format(
            name=name,
            verdict=VERDICT_WORDS[verdict].within(language),
            colour=COLOURS[verdict],
            question=experiment.QUESTION.within(language),
            because=because.within(language),
            command=result["command"],
        )
        return self.parse_text_to_nodes(text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("experiment", ExperimentDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
