/** The style sheet of the page. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fbfbfd; --card: #fff; --ink: #1c1d22; --soft: #5b5f6b; --line: #dfe1e8; --accent: #005a9e; --well: #f0f1f5;
}
@media (prefers-color-scheme: dark) {
  :root { --paper: #131419; --card: #1c1e25; --ink: #e9eaf0; --soft: #a4a8b6; --line: #343743; --accent: #7cc0ff; --well: #272a33; }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 3.5rem; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
header, main { max-width: 74rem; margin: 0 auto; padding: 0 1rem; }
header { display: flex; flex-wrap: wrap; gap: 1rem 2rem; align-items: center; padding-top: 1.5rem; }
header figure { flex: 0 0 11rem; }
header > div { flex: 1 1 20rem; }
h1 { font-size: clamp(1.5rem, 5vw, 2.2rem); line-height: 1.15; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; line-height: 1.25; margin: 0; }
h2 .number { color: var(--soft); font-weight: 400; margin-right: .5rem; }
h3 { font-size: .8rem; letter-spacing: .08em; text-transform: uppercase; color: var(--soft); margin: 0 0 .5rem; }
h4 { font-size: .95rem; margin: 1rem 0 .25rem; }
p { margin: .5rem 0; max-width: 52rem; }
code { font: .88em ui-monospace, "DejaVu Sans Mono", monospace; }
a { color: var(--accent); }
.note { color: var(--soft); font-size: .85rem; }
nav { position: sticky; top: 0; z-index: 2; background: var(--paper); border-bottom: 1px solid var(--line); margin-top: 1rem; }
nav ol { display: flex; gap: .25rem 1rem; overflow-x: auto; max-width: 74rem; margin: 0 auto; padding: .6rem 1rem; list-style: none; font-size: .85rem; white-space: nowrap; }
@media (min-width: 64rem) { nav ol { flex-wrap: wrap; } }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1.25rem; margin: 1.25rem 0; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 0 2.5rem; margin-top: 1rem; }
.column { min-width: 0; display: grid; grid-row: span 5; grid-template: subgrid / minmax(0, 1fr); }
h3:empty { display: none; }
h3:empty + div { grid-row: span 2; }
.equation { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: center; justify-content: space-between; background: var(--well); border-radius: .5rem; padding: .5rem .75rem; margin-bottom: .5rem; }
.equation math { font-size: 1.12rem; max-width: 100%; overflow-x: auto; overflow-y: hidden; margin: 0; text-align: left; }
mtd { text-align: left; }
.equation .by { color: var(--soft); font-size: .8rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(5.4rem, 1fr)); gap: .75rem; margin: .5rem 0; }
.column:only-child .tiles { grid-template-columns: repeat(auto-fill, minmax(5.1rem, 1fr)); gap: .6rem; }
.tiles:has(.photo) { grid-template-columns: repeat(auto-fill, minmax(min(9rem, 30%), 1fr)); }
.tiles.large { grid-template-columns: 1fr 1fr; max-width: 28rem; }
.tiles.large figure:only-child { max-width: 14rem; }
.single { max-width: 22rem; }
figure { margin: 0; min-width: 0; }
.frame { position: relative; cursor: crosshair; line-height: 0; touch-action: pan-y; border-radius: 3px; }
.frame:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.frame img { width: 100%; height: auto; border-radius: 3px; }
.pixels .frame img { image-rendering: pixelated; }
.cursor { position: absolute; pointer-events: none; outline: 1.5px solid #000; box-shadow: 0 0 0 3px #fff; }
.chart .cursor { outline: none; box-shadow: none; background: var(--accent); opacity: .35; min-width: 2px; }
.chart .value { display: inline; min-height: 0; color: var(--ink); font-size: .8rem; font-weight: 600; }
figcaption { font-size: .8rem; line-height: 1.3; margin-top: .35rem; }
.class { display: inline-flex; align-items: baseline; max-width: 100%; overflow-wrap: anywhere; }
.class .swatch { flex: none; }
.swatch { width: .7em; height: .7em; margin-right: .35em; border-radius: 2px; }
.value { display: block; min-height: 1.3em; color: var(--soft); font-size: .72rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.column:only-child .tiles .value { font-size: .66rem; }
.scale { max-width: 22rem; margin: .75rem 0; }
.scale img { display: block; width: 100%; height: .7rem; border-radius: 2px; }
.scale .ticks { display: flex; justify-content: space-between; }
.ticks { color: var(--soft); font-size: .72rem; font-variant-numeric: tabular-nums; }
.scale.hue { display: flex; gap: .75rem; align-items: center; margin: .25rem 0; font-size: .8rem; }
.scale.hue .class { flex: 0 0 7rem; }
.scale.hue img { flex: 1; width: auto; min-width: 0; }
.scale.hue .ticks { flex: 1; }
.charted { display: grid; grid-template-columns: 4.2rem 1fr; gap: .4rem; margin: .6rem 0; }
.charted .ticks { display: flex; flex-direction: column; justify-content: space-between; text-align: right; height: 4.5rem; line-height: 1; }
.chart svg:not(.swatch) { width: 100%; height: 4.5rem; background: var(--well); border-radius: 3px; overflow: visible; }
.chart figcaption { display: flex; flex-wrap: wrap; gap: 0 1rem; }
.chart .zero { stroke: var(--soft); vector-effect: non-scaling-stroke; stroke-width: 1; opacity: .5; }
.scroll { overflow-x: auto; }
table { margin-top: .5rem; border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: middle; font-weight: 400; }
th[scope=row], td { white-space: nowrap; }
#classes th[scope=row] { white-space: normal; min-width: 6rem; }
thead th { color: var(--soft); font-size: .75rem; }
#classes th[scope=row] { font-weight: 600; overflow-wrap: anywhere; }
#classes .wide { width: 16rem; min-width: 6rem; }
.bar { display: block; width: 100%; height: .8rem; background: var(--well); border-radius: 2px; }
.shares { list-style: none; display: flex; flex-wrap: wrap; gap: .1rem 1rem; padding: 0; margin: .25rem 0; font-size: .8rem; }
.departs { border-left: 3px solid #d55e00; padding-left: .6rem; font-size: .85rem; }
.departs.same { border-color: var(--line); }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.legend { list-style: none; padding: 0; margin: .75rem 0 0; display: flex; flex-wrap: wrap; gap: .2rem 1.25rem; }
@media (max-width: 60rem) {
  .column + .column h3 { margin-top: 1.5rem; }
  section { padding: 1rem; }
  table { font-size: .78rem; }
  th, td { padding-right: .6rem; }
  .equation math { font-size: 1rem; }
}
@media print { nav { display: none; } section { break-inside: avoid; } }
`;
