"""The style of what only drift pages draw; the rest is `longshore.pages.style`."""

CSS = """
.newest { direction: rtl; } .newest > * { direction: ltr; }
.told th, .told td { text-align: left; }
td.why { white-space: normal; min-width: 220px; overflow-wrap: anywhere; }
th.name { white-space: normal; min-width: 190px; }
ol.steps { margin: 8px 0 0; padding-left: 0; list-style: none; border-left: 3px solid var(--line); }
ol.steps li { padding: 3px 0 3px 14px; overflow-wrap: anywhere; }
ol.steps time { color: var(--quiet); font-variant-numeric: tabular-nums; margin-right: 8px; font-size: 0.9rem; }
.episode + .episode { margin-top: 18px; }
ul.ranges { margin: 8px 0 0; padding-left: 20px; }
.metrics { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 14px;
  align-content: start; }
.evidence { min-width: 680px; }
.spark { width: 120px; }
.bullet { width: 130px; height: 20px; }
.usual { fill: none; stroke: var(--usual); stroke-width: 1.4; stroke-dasharray: 5 3; }
.limit { fill: none; stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 7 4; }
.interval { fill: var(--accent); fill-opacity: 0.18; }
.fault { fill: var(--bad); fill-opacity: 0.75; } .fault.mild { fill: var(--watch); }
.key.interval { background: var(--accent); opacity: 0.3; } .key.fault { background: var(--bad); }
.key.mild { background: var(--watch); }
.key.usual { background: none; border-top: 2px dashed var(--usual); height: 0; vertical-align: middle; }
.faults { min-width: 620px; }
.floor { stroke: var(--quiet); stroke-width: 1; stroke-dasharray: 1 3; }
.line.single { fill: var(--accent); } .usual.single { fill: var(--usual); } .limit.single { fill: var(--bad); }
.dot { fill: var(--accent); stroke: var(--card); stroke-width: 1; }
.dot.over { fill: var(--bad); }
.band { fill: var(--band); fill-opacity: 0.1; }
.era { stroke: var(--quiet); stroke-width: 1; stroke-dasharray: 2 3; }
svg text.era { stroke: none; }
.alert { stroke: var(--bad); stroke-width: 1.2; }
.alert-mark { fill: var(--bad); }
svg text.alert-text { fill: var(--bad); font-weight: 650; }
.now.moved { fill: var(--bad); }
.cell { fill: var(--then); stroke: var(--card); stroke-width: 1; }
.cell.moved { fill: var(--bad); }
.map { max-width: 460px; }
.hover { fill: transparent; }
.track { fill: var(--ground); }
.q99 { fill: var(--usual); fill-opacity: 0.16; } .q95 { fill: var(--usual); fill-opacity: 0.22; }
.q50 { fill: var(--usual); fill-opacity: 0.3; }
.value { fill: var(--accent); } .value.over { fill: var(--bad); }
.key.limit { background: none; border-top: 2px dashed var(--bad); height: 0; vertical-align: middle; }
.key.band { background: var(--band); opacity: 0.25; }
"""
