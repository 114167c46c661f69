"""DeepSeek-R1-Zero: RL alone, from a base whose pass@16 is above 0, raises pass@1."""

from benchmarks.recipes.claims.kinds import longer, rises

CLAIMS = [
    rises("zero", over="base", domains=["add", "sort", "form"]),
    longer("zero", than="base", domains=["add"]),  # where scratch work helps
]
NOT_CHECKED = (
    "the rate of the format, which is no score of a domain; a run with a reference that is "
    "never reset"
)
