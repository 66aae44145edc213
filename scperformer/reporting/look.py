"""How the page looks: one style sheet, light and dark, from telephones to desks.

It holds none of the characters that HTML and XML escape differently.
"""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --panel: #f5f6f8; --line: #d5d9df; --grid: #e6e9ed;
  --text: #1c2128; --faint: #57606c; --p: #0072b2; --s: #d55e00; --have: #6b7684;
  --pair: #007a5a; --heat: #7a3b8f;
  --warn: #8a5a00; --warn-paper: #fff6e0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --panel: #1d2127; --line: #3a414b; --grid: #2b3138;
    --text: #e6e9ed; --faint: #a2abb7; --p: #56b4e9; --s: #f2914a; --have: #8d98a6;
    --pair: #35c49a; --heat: #cc9be0;
    --warn: #f0c674; --warn-paper: #2c2614;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1200px; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; padding-top: .75rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
p, ul { max-width: 75ch; margin: .5rem 0; }
ul { padding-left: 1.25rem; }
p, li, dd, h1, h3, figcaption { overflow-wrap: anywhere; }
.faint, figcaption { color: var(--faint); font-size: .9rem; }
figcaption strong { color: var(--text); }
.wrong { border-left: 4px solid var(--warn); background: var(--warn-paper);
  padding: .5rem 1rem; margin: 1rem 0; }
.wrong h3 { margin-top: 0; color: var(--warn); }
.totals { display: grid; gap: .5rem; margin: 1rem 0; padding: 0;
  grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); }
.totals div { background: var(--panel); border-radius: 6px; padding: .5rem .75rem; }
.totals dt { color: var(--faint); font-size: .85rem; }
.totals dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.totals div { display: flex; flex-direction: column-reverse; justify-content: flex-end; }
figure { margin: 1rem 0; min-width: 0; }
.charts { display: grid; gap: 0 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); }
.charts.two { grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); }
.charts figure { display: flex; flex-direction: column; justify-content: space-between; }
.charts ul { grid-column: 1 / -1; }
.plot { padding: 2rem 1.4rem 2.9rem 3.25rem; }
.plot, .strips .band { container-type: inline-size; }
.plot.bare { padding-top: .15rem; padding-bottom: .15rem; }
.plot.bare.first { padding-top: 1.4rem; }
.plot.last { padding-top: .15rem; }
.plot svg, .scale { display: block; overflow: visible; }
.plot svg.stretched { overflow: hidden; }
svg text { fill: var(--faint); font-size: 12px; font-variant-numeric: tabular-nums; }
svg text.axis { fill: var(--text); font-size: 12.5px; }
svg .grid { stroke: var(--grid); stroke-width: 1; shape-rendering: crispEdges; }
svg .tick { stroke: var(--faint); stroke-width: 1; }
svg .p { fill: var(--p); } svg .s { fill: var(--s); } svg .have { fill: var(--have); }
svg .pair { fill: var(--pair); }
svg rect { shape-rendering: crispEdges; }
svg circle { fill-opacity: .65; }
svg path.wave { fill: none; stroke: var(--text); stroke-width: 1; }
svg path.curve { fill: none; stroke-width: 1.8; }
svg path.curve.p, svg .rule.p { stroke: var(--p); fill: none; }
svg path.curve.s, svg .rule.s { stroke: var(--s); fill: none; }
svg path.curve.s { stroke-dasharray: 6 3; }
svg path.fit { fill: none; stroke: var(--text); stroke-width: 1.5; stroke-dasharray: 6 4; }
svg .rule { stroke-width: 1.5; stroke: var(--faint); }
svg .rule.s { stroke-dasharray: 6 3; }
svg .rule.given { stroke: var(--text); stroke-dasharray: 2 3; }
svg text.label.p { fill: var(--p); font-weight: 600; }
svg text.label.s { fill: var(--s); font-weight: 600; }
.strips { display: grid; grid-template-columns: max-content minmax(0, 1fr) max-content;
  gap: .3rem .75rem; align-items: center; padding-right: 1.4rem;
  margin: .5rem 0; font-size: .85rem; }
.strips .row { display: contents; }
.strips .name { font-family: ui-monospace, "DejaVu Sans Mono", monospace; }
.strips .much { color: var(--faint); text-align: right; font-variant-numeric: tabular-nums; }
.strip { display: block; background: var(--panel); shape-rendering: crispEdges; }
.have1, .have2, .have3, .have4 { fill: var(--have); }
.have1 { fill-opacity: .3; } .have2 { fill-opacity: .5; } .have3 { fill-opacity: .75; }
.heat1, .heat2, .heat3, .heat4, .heat5 { fill: var(--heat); }
.heat1 { fill-opacity: .22; } .heat2 { fill-opacity: .42; } .heat3 { fill-opacity: .62; }
.heat4 { fill-opacity: .82; }
.key { max-width: none; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: 0;
  list-style: none;
  font-size: .85rem; color: var(--faint); }
.key svg { width: 1.1rem; height: .8rem; margin-right: .35rem; background: var(--panel);
  vertical-align: -.05rem; }
.box { margin: 1rem 0; border: 1px solid var(--line); border-radius: 6px; overflow: hidden; }
.box p { margin: 0; padding: .5rem .6rem; max-width: none; font-size: .85rem; font-weight: 600; }
.scroll { overflow-x: auto; }
.scroll:focus-visible { outline: 2px solid var(--p); outline-offset: -2px; }
table { border-collapse: collapse; font-size: .85rem; width: 100%;
  font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; text-align: right; border-top: 1px solid var(--line);
  vertical-align: top; }
thead th { vertical-align: bottom; font-weight: 600; }
.worded thead th:nth-child(n+5) { min-width: 4.6rem; }
tbody th { font-weight: 500; white-space: nowrap; }
td { white-space: nowrap; }
th:first-child { text-align: left; }
.worded td:nth-child(2), .worded thead th:nth-child(2) { text-align: left; min-width: 14rem;
  white-space: normal; }
.scroll tbody th:first-child { position: sticky; left: 0; background: var(--paper); }
dl.made { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .25rem 1rem; }
dl.made dt { color: var(--faint); } dl.made dd { margin: 0; }
code { font: .9em ui-monospace, "DejaVu Sans Mono", monospace; }
@media (max-width: 640px) {
  h1 { font-size: 1.35rem; }
  .wide p::after { content: " (more to the right)"; font-weight: 400; color: var(--faint); }
  .strips { display: block; padding: 0; }
  .strips .row { display: grid; grid-template-columns: minmax(0, 1fr) max-content; }
  .strips .band { grid-column: 1 / -1; order: 1; margin-bottom: .5rem; }
  dl.made { grid-template-columns: minmax(0, 1fr); } dl.made dd { margin-bottom: .5rem; }
}
@container (max-width: 30rem) { .fine { display: none; } }
@media print { .scroll { overflow: visible; } h2 { break-after: avoid; } }
"""
