"""The style of what only the trainer's pages draw; the rest is `longshore.pages.style`."""

CSS = """
:root {
  --c0: #2a1a9c; --c1: #6a1aa8; --c2: #a0239b; --c3: #cc4778; --c4: #e0632f; --c5: #e08a00; --c6: #c7a600;
  --plus: #b3421e; --minus: #1d5fa8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --c0: #6f7cf0; --c1: #9a6cf0; --c2: #c86ad8; --c3: #ea6fa2; --c4: #fb8f67; --c5: #fdbb45; --c6: #f4ee4a;
    --plus: #ff9a6c; --minus: #6cb2ff;
  }
}
.dots path { fill: none; stroke-linecap: round; stroke-opacity: 0.55; stroke: var(--accent); }
.dots path.c0 { stroke: var(--c0); } .dots path.c1 { stroke: var(--c1); } .dots path.c2 { stroke: var(--c2); }
.dots path.c3 { stroke: var(--c3); } .dots path.c4 { stroke: var(--c4); } .dots path.c5 { stroke: var(--c5); }
.dots path.c6 { stroke: var(--c6); }
.dots path.columns { fill: var(--accent); stroke: none; }
.dots path.below { stroke: var(--minus); } .dots path.above { stroke: var(--plus); }
.dots path.near { stroke: var(--quiet); stroke-opacity: 0.35; }
.dots path.strong { stroke-opacity: 0.9; }
.key.c0 { background: var(--c0); } .key.c1 { background: var(--c1); } .key.c2 { background: var(--c2); }
.key.c3 { background: var(--c3); } .key.c4 { background: var(--c4); } .key.c5 { background: var(--c5); }
.key.c6 { background: var(--c6); }
.key.below { background: var(--minus); } .key.above { background: var(--plus); }
.key.near { background: var(--quiet); opacity: 0.5; }
.columns { fill: var(--accent); fill-opacity: 0.8; }
.plus { fill: var(--plus); } .minus { fill: var(--minus); }
svg text.ink { fill: var(--ink); }
.whisker { stroke: var(--ink); stroke-width: 1.4; }
.half { fill: var(--accent); }
.diagonal { stroke: var(--ink); stroke-width: 1.2; stroke-dasharray: 6 4; }
.curve { fill: none; stroke-width: 1.8; stroke: var(--minus); } .curve.above { stroke: var(--plus); }
.curve-dot { fill: var(--minus); } .curve-dot.above { fill: var(--plus); }
.small-pictures { margin-top: 12px; display: grid; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr));
  gap: 16px; }
.scatters { min-width: 760px; } .frame { fill: none; stroke: var(--line); }
.matrix { max-width: 900px; min-width: 520px; }
.map { max-width: 620px; min-width: 440px; }
.beside { max-width: 560px; min-width: 440px; }
th.name { white-space: normal; overflow-wrap: anywhere; min-width: 120px; }
ul.facts { margin: 8px 0 0; padding-left: 20px; } ul.facts li { overflow-wrap: anywhere; margin: 3px 0; }
.block + .block { margin-top: 18px; }
section h3 { margin: 20px 0 10px; }
"""
