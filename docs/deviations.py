"""Write docs/deviations.md: what differs from the paper, from the NOTE[DIFF] tags of the code.

python docs/deviations.py
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "deviations.md"
TAG = "# NOTE[DIFF] "
HEAD = """# Deviations from the paper

Each is a tag `NOTE[DIFF]` at the line that deviates; `python docs/deviations.py` writes this page.
`InformerModel.paper(...)` sets every one that is an option back to the paper's.

| file | what differs |
|---|---|
"""


def deviations() -> list[tuple[str, str]]:
    """File and text of every tag; the text goes on over the comment lines that follow."""
    found = []
    for folder in ("informer_forecaster/_network", "adapters"):
        for path in sorted((ROOT / folder).glob("*.py")):
            lines = [line.strip() for line in path.read_text().splitlines()]
            for number, line in enumerate(lines):
                if line.startswith(TAG):
                    text = [line.removeprefix(TAG)]
                    for following in lines[number + 1 :]:
                        if not following.startswith("# ") or following.startswith(TAG):
                            break
                        text.append(following.removeprefix("# "))
                    found.append((f"{folder}/{path.name}", " ".join(text)))
    return found


def render() -> str:
    """The page."""
    rows = [
        f"| `{file}` | {text[0].upper()}{re.sub('[|]', '/', text[1:])} |\n"
        for file, text in deviations()
    ]
    return HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(render())
