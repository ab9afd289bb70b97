"""The pages' style sheet: light and dark by the reader's setting, and for paper. A service adds its own pictures'."""

CSS = """
:root {
  --ground: #f5f2ea; --card: #fffdf8; --ink: #1d2b30; --quiet: #56666c; --line: #d9d4c6; --accent: #0b6e75;
  --then: #a9b6b4; --bad: #b3261e; --bad-soft: #f7ddd6; --good: #1f6f43; --good-soft: #dcefe1; --watch: #7a5200;
  --watch-soft: #f6e7c3; --usual: #8a7f66; --band: #b3261e; color-scheme: light dark;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0e1619; --card: #162125; --ink: #e6eeee; --quiet: #9fb0b4; --line: #2c3b40; --accent: #5cc8c4;
    --then: #5d7074; --bad: #ff9a8c; --bad-soft: #47231f; --good: #8fd9aa; --good-soft: #17352a; --watch: #f0bf66;
    --watch-soft: #3d3013; --usual: #b5a883; --band: #ff8a7a;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
header, main, footer { max-width: 1180px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 26px; padding-bottom: 6px; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 0 0 12px; }
h3 { font-size: 1.05rem; margin: 0; overflow-wrap: anywhere; }
h4 { font-size: 0.86rem; margin: 0 0 6px; color: var(--quiet); font-weight: 600; }
.sub, .quiet { color: var(--quiet); font-size: 0.9rem; margin: 4px 0 0; overflow-wrap: anywhere; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 18px; margin: 16px 0; }
.head { display: flex; flex-wrap: wrap; gap: 8px 12px; align-items: center; }
.pill { border-radius: 999px; padding: 2px 12px; font-size: 0.88rem; font-weight: 650; white-space: nowrap; }
.good { background: var(--good-soft); color: var(--good); }
.watch { background: var(--watch-soft); color: var(--watch); }
.bad { background: var(--bad-soft); color: var(--bad); }
.sentence { font-size: 1.12rem; margin: 0 0 14px; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 12px; margin: 0; }
.tiles div { border: 1px solid var(--line); border-radius: 10px; padding: 10px 14px; }
.tiles dt { color: var(--quiet); font-size: 0.82rem; }
.tiles dd { margin: 2px 0 0; font-size: 1.25rem; font-weight: 650; font-variant-numeric: tabular-nums; }
.tiles .note { font-size: 0.82rem; color: var(--quiet); font-weight: 400; }
.wide { overflow-x: auto; margin-top: 8px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 0.92rem; }
th, td { text-align: right; padding: 6px 10px; border-top: 1px solid var(--line); vertical-align: top;
  white-space: nowrap; }
thead th { color: var(--quiet); font-weight: 600; border-top: 0; vertical-align: bottom; }
th:first-child, td:first-child, .left { text-align: left; }
td small, th small { display: block; color: var(--quiet); font-size: 0.78rem; }
tbody th { font-weight: 600; }
th small { font-weight: 400; }
.over, td.over { color: var(--bad); font-weight: 650; }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
details { margin-top: 10px; }
summary { cursor: pointer; color: var(--accent); }
details .wide { max-height: 420px; overflow-y: auto; margin-top: 8px; }
.two { display: grid; grid-template-columns: minmax(0, 1fr); gap: 18px; margin-top: 14px; }
@media (min-width: 900px) { .two { grid-template-columns: minmax(0, 10fr) minmax(0, 11fr); } }
figure { margin: 0; min-width: 0; }
figcaption { font-size: 0.86rem; margin-bottom: 2px; }
figcaption b { font-variant-numeric: tabular-nums; }
figcaption span { color: var(--quiet); }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--quiet); font-size: 11px; font-family: inherit; }
.tight th, .tight td { padding: 6px 7px; }
.grid { stroke: var(--line); stroke-width: 1; }
.axis { stroke: var(--quiet); stroke-width: 1; }
.line { fill: none; stroke: var(--accent); stroke-width: 1.8; stroke-linejoin: round; }
.then { fill: var(--then); }
.now { fill: var(--accent); }
.legend { color: var(--quiet); font-size: 0.84rem; margin: 6px 0 0; }
.key { display: inline-block; width: 14px; height: 10px; border-radius: 2px; margin: 0 6px 0 0; }
.entry { display: inline-block; margin-right: 10px; }
.key.then { background: var(--then); } .key.now { background: var(--accent); } .key.moved { background: var(--bad); }
footer { color: var(--quiet); font-size: 0.86rem; padding-bottom: 40px; }
@media print {
  body { background: none; } section { break-inside: avoid; border-color: #999; } details { display: none; }
}
"""
