"""What an audit's page adds to the common style: a colour for each source, bars, tokens."""

NUM_COLOURS = 8
"""Sources with a colour of their own; more share them in turn, and every mark has its name too."""

_LIGHT = "#0067a0 #b44a00 #1b7a3d #8a3ea8 #8f6a00 #b3245c #00757a #5b5fc7".split()
_DARK = "#66b8f5 #ff9d57 #6fd08c #d59bef #e0bd55 #ff86b3 #5fd0d4 #a9acff".split()


def _variables(colours: list[str]) -> str:
    return " ".join(f"--s{place}: {colour};" for place, colour in enumerate(colours))


_CLASSES = "\n".join(f".s{place} {{ --own: var(--s{place}); }}" for place in range(NUM_COLOURS))

STYLE = f"""
:root {{ {_variables(_LIGHT)} --own: var(--fork); }}
@media (prefers-color-scheme: dark) {{ :root {{ {_variables(_DARK)} }} }}
{_CLASSES}
.start, .nobody {{ --own: var(--fork); }}
.bars {{ table-layout: fixed; }}
.bars th {{ width: 9.5em; padding-right: 10px; overflow-wrap: anywhere; vertical-align: middle; }}
.bars td.amount {{ width: 12.5em; padding-left: 14px; white-space: nowrap; }}
.bars tbody :is(th, td) {{ height: 40px; border-top: 1px solid var(--rule); }}
.bars tr.total {{ font-weight: 650; }}
.bars small {{ display: block; font-weight: 400; white-space: normal; overflow-wrap: anywhere; }}
svg.bar {{ display: block; width: 100%; height: 30px; overflow: visible; }}
.bar .zero {{ stroke: var(--muted); stroke-width: 1.5; }}
.bar rect {{ fill: var(--own); }}
.bar .whisker {{ stroke: var(--ink); stroke-width: 2; }}
.key {{ display: flex; flex-wrap: wrap; gap: 4px 18px; list-style: none; margin: 0 0 14px;
  padding: 0; font-size: 14px; }}
.key li::before {{ content: ""; display: inline-block; width: .8em; height: .8em;
  margin-right: 6px; border-radius: 2px; background: var(--own); }}
.tokens {{ font: 15px/2.1 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; margin: 8px 0;
  white-space: pre-wrap; overflow-wrap: anywhere; }}
.tokens span {{ border-bottom: 3px solid var(--own); padding: 2px 1px; border-radius: 2px;
  background: color-mix(in srgb, var(--own) calc(var(--value) * 55%), transparent); }}
.tokens span.against {{ border-bottom-style: dotted; }}
summary, summary small, .eyebrow {{ overflow-wrap: anywhere; white-space: normal; }}
.question pre {{ margin-bottom: 6px; }}
.course svg {{ display: block; width: 100%; height: 200px; overflow: visible; }}
.course polyline {{ fill: none; stroke: var(--own); stroke-width: 2.5;
  vector-effect: non-scaling-stroke; stroke-linejoin: round; }}
.course line {{ stroke: var(--rule); vector-effect: non-scaling-stroke; }}
.course line.zero {{ stroke: var(--muted); }}
.course .plot {{ grid-template-columns: 3.4em 1fr; }}
.matrix td.off {{ outline: 2px dashed var(--student); outline-offset: -2px; font-weight: 680; }}
.plain td, .plain th {{ vertical-align: top; }}
main code {{ overflow-wrap: anywhere; }}
@media (max-width: 760px) {{
  .bars th {{ width: 6em; }}
  .bars td.amount {{ width: 7.2em; padding-left: 8px; white-space: normal; }}
  .course .plot {{ grid-template-columns: 2.8em 1fr; }}
}}
@media print {{ :root {{ {_variables(_LIGHT)} }} }}
"""
