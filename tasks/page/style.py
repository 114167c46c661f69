"""The report's style sheet: light and dark, wide and narrow, screen and paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #fbfbf9; --panel: #ffffff; --ink: #1b1f23; --muted: #59636e; --rule: #dcdfe3;
  --band: #e4eef6; --student: #b44a00; --teacher: #0067a0; --fork: #646464; --heat: 0 98 163;
  --mark: #fff1e5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #131619; --panel: #1a1e22; --ink: #e9ecef; --muted: #a0a9b3; --rule: #333a41;
    --band: #1c3143; --student: #ff9d57; --teacher: #66b8f5; --fork: #a8a8a8;
    --heat: 60 140 205; --mark: #2e241b;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans",
    sans-serif;
  font-variant-numeric: tabular-nums;
}
header, main, footer, nav > ul { max-width: 1160px; margin: 0 auto; padding: 0 24px; }
a { color: var(--teacher); text-underline-offset: 3px; }
:focus-visible { outline: 3px solid var(--teacher); outline-offset: 2px; border-radius: 2px; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 8px; top: 8px; background: var(--panel); padding: 8px 12px; z-index: 3; }

header { padding-top: 56px; padding-bottom: 28px; }
.eyebrow { margin: 0 0 14px; color: var(--muted); font-size: 14px; letter-spacing: .02em; }
h1 {
  margin: 0; max-width: 29em; font-size: clamp(24px, 3.1vw, 36px); line-height: 1.2;
  letter-spacing: -.015em; font-weight: 680; text-wrap: balance;
}
.findings { margin: 20px 0 0; padding: 0; list-style: none; font-size: 18px; }
.how { margin: 14px 0 0; color: var(--muted); font-size: 14px; max-width: 76ch; }
nav { border-block: 1px solid var(--rule); background: var(--page); position: sticky; top: 0;
  z-index: 2; }
nav > ul { display: flex; gap: 4px 22px; list-style: none; overflow-x: auto; }
nav a { display: block; padding: 10px 0; color: var(--ink); text-decoration: none;
  font-size: 14px; white-space: nowrap; }
nav a:hover { text-decoration: underline; }
section { padding-top: 52px; scroll-margin-top: 20px; }
h2 { margin: 0 0 4px; font-size: 23px; line-height: 1.25; letter-spacing: -.01em; }
h3 { margin: 28px 0 10px; font-size: 16px; }
h3 small { font-weight: 400; margin-left: 4px; }
.note { margin: 0 0 18px; color: var(--muted); font-size: 14.5px; max-width: 76ch; }
small { color: var(--muted); font-size: 12.5px; white-space: nowrap; }
.scroll { overflow-x: auto; }

table { border-collapse: collapse; width: 100%; font-size: 14.5px; }
caption { text-align: left; padding-bottom: 6px; font-weight: 650; font-size: 16px; }
caption small { font-weight: 400; margin-left: 6px; }
th { text-align: left; font-weight: 400; }
thead th { color: var(--muted); font-size: 12.5px; padding: 4px 0; vertical-align: bottom; }
.panels { display: grid; grid-template-columns: 1fr 1fr; gap: 20px; }
.panel { background: var(--panel); border: 1px solid var(--rule); border-radius: 6px;
  padding: 16px 18px 8px; min-width: 0; }
.panel.wide { grid-column: 1 / -1; }
.panel table { table-layout: fixed; }
.panel tbody :is(td, th) { padding: 0; height: 38px; line-height: 1.15; }
.panel .name { width: 150px; overflow-wrap: break-word; padding-right: 8px; }
.panel .value { width: 88px; padding-left: 16px; }
.panel .value small { display: block; }
.panel.signed .value { width: 118px; }
.panel.wide tbody :is(td, th) { height: 32px; }
.panel.wide .value { width: 132px; }
.panel.wide .value small { display: inline; margin-left: 3px; }
.panel thead td { padding: 0; }
.panel tfoot td { padding: 0; height: 26px; vertical-align: top; }
.student { color: var(--student); } .teacher { color: var(--teacher); }
.fork_point { color: var(--fork); }
tr.student, tr.student th { font-weight: 650; }
tr.student small { font-weight: 400; }

svg.strip { display: block; width: 100%; height: 100%; overflow: visible; color: inherit; }
.strip .band { fill: var(--band); }
.strip .grid, .curve .grid { stroke: var(--rule); stroke-width: 1; }
.strip .zero { stroke: var(--muted); stroke-width: 1.5; }
.strip .interval { fill: currentColor; opacity: .42; }
.strip .mean { stroke: currentColor; stroke-width: 2.5; }
.strip line.mean { transform: scaleY(.6); transform-origin: 50% 50%; }
.strip.student .mean { stroke-width: 3.5; }
.strip.unclear .interval { fill: none; stroke: currentColor; stroke-width: 1.2; opacity: .75; }
.strip.unclear .mean { stroke-width: 1.5; }
.panel tr.unclear { color: var(--muted); }
.scale { position: relative; height: 20px; font-size: 12px; color: var(--muted); }
.scale span { position: absolute; transform: translateX(-50%); white-space: nowrap; top: 3px; }

.matrix { border-collapse: separate; border-spacing: 3px; width: auto;
  min-width: min(100%, 640px); }
.matrix th { padding: 4px 14px 4px 0; }
.matrix thead th { text-align: center; padding: 4px; color: var(--ink); font-size: 14px; }
.matrix td { text-align: center; padding: 9px 4px; line-height: 1.25; font-size: 16px;
  background: rgb(var(--heat) / calc(var(--value) * .55 + .03)); border-radius: 3px; }
.matrix td small { display: block; color: inherit; font-size: 12px; }
.matrix td.own { outline: 2px solid var(--ink); outline-offset: -2px; font-weight: 680; }
.matrix td.own small { font-weight: 400; }
.matrix td.none { background: none; color: var(--muted); }
.plain tbody :is(td, th) { border-top: 1px solid var(--rule); padding: 7px 14px 7px 0; }
.plain thead th { padding-bottom: 7px; }
.plain td small { display: block; }

.curves { display: grid; gap: 18px 24px; grid-template-columns: repeat(auto-fill,
  minmax(220px, 1fr)); }
.curves figure { margin: 0; min-width: 0; }
.curves figcaption { display: flex; justify-content: space-between; gap: 12px; font-size: 14px;
  margin-bottom: 4px; }
.curves figcaption span { white-space: nowrap; align-self: end; }
.plot { display: grid; grid-template-columns: 2.6em 1fr; column-gap: 6px; font-size: 12px;
  color: var(--muted); }
.plot .ends { display: flex; flex-direction: column; justify-content: space-between;
  text-align: right; line-height: 1; }
.plot .steps { grid-column: 2; display: flex; justify-content: space-between; padding-top: 3px; }
svg.curve { display: block; width: 100%; height: 104px; overflow: visible; }
.curve polyline { fill: none; stroke: var(--teacher); vector-effect: non-scaling-stroke;
  stroke-linejoin: round; }
.curve line { vector-effect: non-scaling-stroke; }
.curve .raw { opacity: .32; stroke-width: 1; } .curve .trend { stroke-width: 2; }

details { border-top: 1px solid var(--rule); }
details:last-of-type { border-bottom: 1px solid var(--rule); }
summary { padding: 12px 0; cursor: pointer; font-weight: 650; }
summary small { font-weight: 400; margin-left: 8px; }
.rollout { padding: 4px 0 26px; }
.answers { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr));
  gap: 14px; margin-top: 12px; }
.answer { background: var(--panel); border: 1px solid var(--rule); border-radius: 6px;
  padding: 10px 14px 14px; min-width: 0; }
.answer h4 { margin: 0 0 8px; font-size: 14px; display: flex; gap: 10px;
  justify-content: space-between; align-items: baseline; }
.grade { color: var(--muted); font-weight: 400; font-size: 12.5px; text-align: right; }
.role { display: block; color: var(--muted); font-size: 12px; margin-top: 8px; }
pre { margin: 2px 0 0; font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas,
  "DejaVu Sans Mono", monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
.tool pre, .system pre { background: var(--mark); padding: 4px 8px; border-radius: 3px; }

/* The drawing has its own colours, made for a light ground. */
.lineage { overflow-x: auto; background: #fcfdfd; border: 1px solid var(--rule);
  border-radius: 6px; padding: 16px; margin: 0; }
.on-narrow { display: none; }
.lineage svg { max-width: 100%; height: auto; display: block; margin: 0 auto; }
footer { padding-bottom: 72px; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr));
  gap: 8px 40px; }
.facts > div { min-width: 0; }
dl { display: grid; grid-template-columns: fit-content(40%) 1fr; gap: 4px 16px; margin: 0;
  font-size: 14px; }
dt { color: var(--muted); } dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
code { font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.missing { margin: 0; padding-left: 1.2em; font-size: 14px; }

@media (max-width: 760px) {
  body { font-size: 15px; }
  header, main, footer, nav > ul { padding-left: 16px; padding-right: 16px; }
  header { padding-top: 32px; }
  .findings { font-size: 16px; }
  .panels { grid-template-columns: minmax(0, 1fr); }
  .panel { padding: 12px 0 4px; border-width: 1px 0 0; border-radius: 0; background: none; }
  .panel.wide tbody :is(td, th) { height: 38px; }
  .panel .name { width: 86px; }
  .panel .value, .panel.wide .value { width: 72px; padding-left: 8px; }
  .panel.signed .value { width: 108px; }
  .panel thead th { font-size: 11.5px; }
  .panel .value small, .panel.wide .value small { display: block; margin: 0; font-size: 11.5px; }
  .matrix td { padding: 7px 2px; font-size: 14.5px; }
  .matrix td small, .matrix thead th { font-size: 11.5px; }
  .matrix th { padding-right: 2px; font-size: 13px; }
  .curves { grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); }
  svg.curve { height: 84px; }
  .lineage { padding: 8px; }
  .on-wide { display: none; }
  .on-narrow { display: block; }
  .facts { grid-template-columns: minmax(0, 1fr); }
}
@media print {
  :root { color-scheme: light; --page: #fff; --panel: #fff; --ink: #000; --muted: #444;
    --rule: #bbb; --band: #e4eef6; --student: #9c4000; --teacher: #005a8c; --fork: #555;
    --heat: 0 98 163; --mark: #f3f3f3; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  nav, .skip { display: none; }
  body { font-size: 11pt; }
  table, .panel, .curves figure, .rollout, .answer, tr, dl { break-inside: avoid; }
  h2, h3, summary { break-after: avoid; }
  section { padding-top: 28px; }
  details::details-content { content-visibility: visible; display: block; block-size: auto; }
  .scroll, .lineage { overflow: visible; }
}
"""
