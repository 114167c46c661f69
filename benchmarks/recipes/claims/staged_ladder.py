"""The staged ladder: it is as good as the converged teachers at once. No source states more."""

from benchmarks.recipes.claims.kinds import holds, rises

DOMAINS = ["add", "sort"]
CLAIMS = [
    *(rises(f"{name}-teacher", over="sft", domains=[name]) for name in DOMAINS),
    rises("direct", over="sft", domains=DOMAINS),
    rises("ladder", over="sft", domains=DOMAINS),
    holds("ladder", beside="direct", domains=DOMAINS),
]
