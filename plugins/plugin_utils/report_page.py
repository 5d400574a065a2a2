# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How does the HTML report look, and what does its one script do?

Only failures are loud: fail is filled, unknown and warn are outlined, the rest is plain. Every colour has a word and a
glyph beside it. Text keeps a contrast of 4.5 or more against its ground in both schemes.
"""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;
--ground:#fbfbf9;--raised:#f2f2ee;--ink:#191b1d;--soft:#565b61;--rule:#dcdcd6;--link:#1b55a5;--focus:#1b55a5;
--pass:#1b6b3c;--warn:#805000;--unknown:#6a37a8;--fail:#b0211b;--waived:#1f5a92;--not_applicable:#5c6167;
--fill:#fff;--down:rgba(176,33,27,.11);--run:#5a6068;
--band:#14582f;--band-ink:#fff}
.warn{--band:#f0b429;--band-ink:#221900}
.fail{--band:#a31d18;--band-ink:#fff}
@media (prefers-color-scheme:dark){
:root{--ground:#131517;--raised:#1c1f22;--ink:#e9e8e4;--soft:#a6abb1;--rule:#33373b;--link:#8dbcff;--focus:#8dbcff;
--pass:#74d39a;--warn:#f0b95a;--unknown:#c8aaff;--fail:#ff8d83;--waived:#8cc3f5;--not_applicable:#a6abb1;
--fill:#131517;--down:rgba(255,141,131,.15);--run:#9aa1a9;
--band:#0f4a27;--band-ink:#eefaf2}
.warn{--band:#7d5200;--band-ink:#fff6e0}
.fail{--band:#8c1a15;--band-ink:#fff0ee}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%;scroll-padding-top:1rem}
body{margin:0;background:var(--ground);color:var(--ink);
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Liberation Sans",Arial,sans-serif;
font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
h1,h2,h3,p,ul,ol,dl,dd,figure{margin:0;padding:0}
ul,ol{list-style:none}
code,pre{font:.875em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono","Liberation Mono",monospace}
a{color:var(--link);text-underline-offset:.15em;text-decoration-thickness:1px}
a:hover{text-decoration-thickness:2px}
:focus-visible{outline:3px solid var(--focus);outline-offset:2px;border-radius:2px}
main:focus{outline:none}
[hidden]{display:none!important}
.skip{position:absolute;left:1rem;top:-6rem;background:var(--ground);color:var(--link);padding:.6rem 1rem;z-index:2}
.skip:focus{top:1rem}
.inner,main{max-width:74rem;margin:0 auto;padding:0 clamp(1rem,4vw,2.5rem)}
.band{background:var(--band);color:var(--band-ink)}
.band .inner{padding-top:1.5rem;padding-bottom:1.75rem}
.band .system{font-size:1.0625rem}
h1{font-size:clamp(2.5rem,1.6rem + 4.4vw,4.75rem);line-height:1.04;letter-spacing:-.025em;font-weight:750;
margin:.15em 0 .22em;
text-wrap:balance;overflow-wrap:normal}
h1 .second,h1 .waited{font-weight:350}
h1 .first:not(:last-child)::after,h1 .second:not(:last-child)::after{content:"\\00a0\\00b7";font-weight:350}
.sentence{font-size:1.1875rem;line-height:1.4;max-width:60ch;text-wrap:pretty}
.band .facts{margin-top:.9rem;font-size:.875rem}
.band .facts:empty{display:none}
.band .facts span+span::before{content:"\\00b7";margin:0 .4em}
nav{border-bottom:1px solid var(--rule);padding:.7rem 0}
nav ul{display:flex;flex-wrap:wrap;gap:.15rem 1.4rem;font-size:.9375rem}
nav a{display:inline-block;padding:.2rem 0}
section{margin-top:2.75rem}
h2{font-size:1.375rem;line-height:1.25;letter-spacing:-.01em;font-weight:680;margin-bottom:.8rem}
h3{font-size:1rem;line-height:1.4;font-weight:650}
h2 small,h3 small{font-size:.9375rem;font-weight:400;color:var(--soft);letter-spacing:0;margin-left:.35em}
.where,.hint,.legend,.note{color:var(--soft);font-size:.9375rem}
.empty{padding:1rem 0;color:var(--soft)}

.st{display:inline-flex;align-items:baseline;gap:.4em;font-weight:650;font-size:.875rem;line-height:1.45;
white-space:nowrap;
justify-self:start;align-self:start}
.st::before{font-weight:700;width:1em;text-align:center;flex:none}
.st.pass{color:var(--pass)}.st.pass::before{content:"\\2713"}
.st.warn{color:var(--warn);box-shadow:inset 0 0 0 1px;padding:0 .5em 0 .35em;border-radius:3px}
.st.warn::before{content:"!"}
.st.unknown{color:var(--unknown);box-shadow:inset 0 0 0 1px;padding:0 .5em 0 .35em;border-radius:3px}
.st.unknown::before{content:"?"}
.st.fail{background:var(--fail);color:var(--fill);padding:0 .5em 0 .35em;border-radius:3px}
.st.fail::before{content:"\\2715"}
.st.waived{color:var(--waived)}.st.waived::before{content:"\\007e"}
.st.not_applicable{color:var(--not_applicable)}.st.not_applicable::before{content:"\\2013"}

.blocks{margin-top:2rem}
.blocks ol>li,.warnings li{display:grid;grid-template-columns:7.5rem 1fr;gap:.2rem 1rem;padding:.95rem 0;
border-top:1px solid var(--rule)}
.blocks ol{border-bottom:1px solid var(--rule)}
.blocks h3{font-size:1.1875rem;line-height:1.35;text-wrap:pretty}
.blocks .st{margin-top:.25rem}
.blocks ol>li>div:only-child,.warnings li>div:only-child{grid-column:2}
.ways li{padding:.5rem 0;border-top:1px solid var(--rule)}
.remedy{margin-top:.3rem;max-width:75ch}
.remedy b{margin-right:.3em}
.warnings li{padding:.6rem 0}
.warnings .where{display:block}
.conditional ul{list-style:disc;padding-left:1.2rem}

.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,13.5rem),1fr));gap:1.25rem 2rem;
margin-top:2.25rem}
.tile{border-top:2px solid var(--ink);padding-top:.55rem}
.tile dt{font-size:.9375rem;color:var(--soft)}
.figure{display:block;font-size:1.875rem;line-height:1.2;font-weight:600;letter-spacing:-.015em}
.figure small{font-size:1rem;font-weight:400;letter-spacing:0;color:var(--soft)}
.tile.fail .figure{color:var(--fail)}.tile.unknown .figure{color:var(--unknown)}.tile.warn .figure{color:var(--warn)}
.tile .note{display:block;margin-top:.15rem}
.bar{display:flex;gap:2px;height:.5rem;margin-top:1.25rem}
.bar i{min-width:4px;flex:1 1 0}
.bar .pass{background:var(--pass)}.bar .warn{background:var(--warn)}.bar .unknown{background:var(--unknown)}
.bar .fail{background:var(--fail)}.bar .waived{background:var(--waived)}.bar .not_applicable{background:var(--rule)}

.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.5rem;margin-bottom:.5rem}
.swatch{display:inline-block;width:1.6rem;height:.8rem;margin-right:.5em;vertical-align:-.05em}
.down,.swatch{background:repeating-linear-gradient(135deg,var(--down) 0 5px,transparent 5px 8px),var(--down)}
.steps{border-bottom:1px solid var(--rule)}
.steps li{display:grid;grid-template-columns:minmax(9rem,15rem) 5.5rem minmax(6rem,1fr) 10.5rem;gap:0 1rem;
align-items:center;border-top:1px solid var(--rule)}
.steps .name{padding:.42rem 0;line-height:1.35}
.steps .state{font-size:.875rem;color:var(--soft)}
.mark::before{display:inline-block;min-width:1em;margin-right:.3em;font-weight:700}
.done .mark::before{content:"\\2713";color:var(--pass)}
.failed .mark{color:var(--fail);font-weight:650}.failed .mark::before{content:"\\2715"}
.undone .mark{color:var(--warn)}.undone .mark::before{content:"\\21b6"}
.skipped .mark::before{content:"\\2013"}
.open .mark{color:var(--unknown);font-weight:650}.open .mark::before{content:"?"}
.track{position:relative;align-self:stretch;min-height:1.9rem;overflow:hidden}
.track i{position:absolute;top:0;bottom:0}
.track .run{top:calc(50% - .35rem);bottom:auto;height:.7rem;min-width:3px;background:var(--run);border-radius:1px}
.failed .run{background:var(--fail)}.undone .run{background:var(--warn)}.open .run{background:var(--unknown)}
.took{text-align:right;white-space:nowrap}
.took small{color:var(--soft);font-size:.8125rem}
.steps .detail{grid-column:1/-1;color:var(--soft);font-size:.9375rem;padding-bottom:.5rem;margin-top:-.15rem;
max-width:90ch}
.failed .detail{color:var(--ink)}
.steps .turn{display:flex;gap:.8rem;border-top:0;font-size:.8125rem;font-weight:650;padding:.1rem 0}
.turn::before,.turn::after{content:"";border-top:3px double var(--ink);flex:1}
#steps h3{margin:1.75rem 0 .2rem}
#steps table{margin-top:1.75rem}

dl.facts>div{display:grid;grid-template-columns:11rem 1fr;gap:.1rem 1rem;
padding:.5rem 0;border-top:1px solid var(--rule)}
dl.facts dt{color:var(--soft)}
dl.facts details summary{cursor:pointer;color:var(--link)}

table{width:100%;border-collapse:collapse;font-size:.9375rem}
caption{text-align:left;color:var(--soft);padding-bottom:.4rem}
th{text-align:left;font-weight:600;color:var(--soft);border-bottom:2px solid var(--ink);padding:.3rem 1rem .3rem 0}
td{vertical-align:top;border-bottom:1px solid var(--rule);padding:.5rem 1rem .5rem 0}

.filters{display:flex;flex-wrap:wrap;gap:.8rem 1rem;align-items:end;padding:.9rem 1rem;background:var(--raised);
margin-bottom:.5rem}
.filters fieldset{border:0;margin:0;padding:0;flex:1 0 100%;display:flex;flex-wrap:wrap;gap:.4rem}
.filters legend{padding:0 0 .25rem;float:none}
.filters legend,.filters>label{font-size:.8125rem;color:var(--soft)}
.filters>label{flex:1 1 8rem}
.filters>label.wide{flex:3 1 14rem}
input:not([type=checkbox]),select,button{font:inherit;font-size:1rem;color:var(--ink);background:var(--ground);
border:1px solid var(--soft);
border-radius:3px;padding:.42rem .55rem;min-height:2.6rem}
.filters>label>:is(input,select){display:block;width:100%;min-width:0;margin-top:.15rem}
::placeholder{color:var(--soft);opacity:1}
button{cursor:pointer;padding:.42rem 1rem}
button:hover{background:var(--raised)}
.chip{display:inline-flex;cursor:pointer}
.chip input{position:absolute;opacity:0;width:1px;height:1px;margin:0}
.chip span{padding:.36rem .75rem;border:1px solid var(--soft);border-radius:3px;background:var(--ground);
color:var(--ink);font-size:.9375rem}
.chip b{font-weight:400;color:var(--soft);margin-left:.25em}
.chip input:checked+span{background:var(--ink);color:var(--ground);border-color:var(--ink)}
.chip input:checked+span b{color:inherit}
.chip input:checked+span::before{content:"\\2713\\00a0"}
.chip input:focus-visible+span{outline:3px solid var(--focus);outline-offset:2px}
.shown{flex:1 0 100%;font-size:.9375rem;color:var(--soft)}

.list h3{margin:1.4rem 0 .35rem}
.rows>li{border-top:1px solid var(--rule);content-visibility:auto;contain-intrinsic-size:auto 3.6rem}
.rows>li:target{background:var(--raised)}
.rows>li>details>summary{display:grid;grid-template-columns:8.25rem 1fr minmax(5rem,12rem) 1rem;gap:0 1rem;
padding:.6rem .35rem;cursor:pointer;
list-style:none}
summary::-webkit-details-marker{display:none}
.rows>li>details>summary::after{content:"";width:.5rem;height:.5rem;border:solid var(--soft);border-width:0 2px 2px 0;
transform:rotate(45deg);margin-top:.35rem;justify-self:end}
.rows>li>details[open]>summary::after{transform:rotate(225deg);margin-top:.6rem}
.rows>li>details>summary:hover{background:var(--raised)}
.rows summary:focus-visible{outline-offset:-3px}
.what>span{display:block}
.title{font-weight:600}
.said{text-wrap:pretty;max-width:80ch}
.ids{color:var(--soft);font-size:.875rem}
.rows .where{text-align:right}
.body{padding:.1rem .35rem 1rem 9.6rem}
.body dl{display:grid;grid-template-columns:7rem 1fr;gap:.25rem 1rem;max-width:90ch}
.body dt{color:var(--soft)}
.body dd{white-space:pre-line}
.criteria{max-width:90ch;margin-top:.7rem}
.criteria caption{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
.criteria th{border-bottom-width:1px}
.criteria td{padding:.3rem 1rem .3rem 0;width:33%}
.criteria td:first-child{color:var(--soft)}
.body details{margin-top:.6rem}
.body details>summary{cursor:pointer;color:var(--link);width:max-content;max-width:100%}
pre{margin:.4rem 0 0;padding:.7rem .85rem;background:var(--raised);white-space:pre-wrap;
max-height:32rem;overflow-y:auto}
.hosts{padding:.1rem .35rem 1rem 9.6rem;columns:22rem;column-gap:2rem;font-size:.875rem}
.hosts li{break-inside:avoid}
.hosts b{font-weight:600;margin-right:.35em}
#proof{padding-bottom:4rem}
.proof{font-size:.9375rem}

@media (max-width:44rem){
.band .facts span{display:block}
.band .facts span+span::before{content:none}
section{margin-top:2.25rem}
.blocks ol>li,.warnings li{grid-template-columns:1fr}
.tiles{grid-template-columns:repeat(auto-fit,minmax(min(100%,9rem),1fr));gap:1.1rem 1rem}
.figure{font-size:1.625rem}
.blocks ol>li>div:only-child,.warnings li>div:only-child{grid-column:1}
.steps li{grid-template-columns:1fr 7rem;padding:.4rem 0}
.steps .name{padding:0;grid-column:1}
.steps .state{grid-column:2;grid-row:1;text-align:right}
.steps .track{grid-column:1;grid-row:2;min-height:1.5rem}
.steps .took{grid-column:2;grid-row:2;font-size:.9375rem}
.took small{display:block}
.steps .detail{margin-top:.2rem;padding-bottom:.2rem}
dl.facts>div,.body dl{grid-template-columns:1fr}
.body dl{gap:0}.body dd{margin-bottom:.45rem}
.body,.hosts{padding-left:.35rem}
.rows>li>details>summary{grid-template-columns:1fr 1rem;gap:.15rem .6rem}
.rows .st{grid-column:1;grid-row:1}
.rows .what{grid-column:1/-1;grid-row:2}
.rows .where{grid-column:1/-1;grid-row:3;text-align:left}
.rows>li>details>summary::after{grid-column:2;grid-row:1}
table,tbody,tr,td{display:block}
caption{display:block}
thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
tr{border-top:1px solid var(--rule);padding:.6rem 0}
td{border:0;padding:.1rem 0 .1rem 6rem;position:relative;min-height:1.6rem}
.criteria td{width:auto;padding:.1rem 0 .1rem 6rem}
td::before{content:attr(data-l);position:absolute;left:0;color:var(--soft)}
}
@media (prefers-reduced-motion:no-preference){.skip{transition:top .12s}}
@media (forced-colors:active){.st,.chip input:checked+span{forced-color-adjust:none}.track .run{background:CanvasText}}
@media print{
:root{color-scheme:light}
body{font-size:9.5pt;background:#fff}
.band{background:none;color:#000;border-bottom:3pt solid #000}
nav,.filters,.skip,.rows>li>details>summary::after{display:none}
section{margin-top:1.4rem}
.rows>li{content-visibility:visible;break-inside:avoid}
.steps li,tr,.blocks ol>li{break-inside:avoid}
h2,h3{break-after:avoid}
pre{max-height:none;background:none;border:1px solid #999}
a{color:inherit;text-decoration:none}
.st,.run,.down,.swatch,.bar i{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
"""

SCRIPT = """
(() => {
  'use strict';
  const form = document.querySelector('.filters');
  const lists = [...document.querySelectorAll('.list')];
  if (!form) return;
  const entries = lists.flatMap((list) => [...list.querySelectorAll('.rows > li')].map((el) => ({ el, list })));
  const shown = form.querySelector('.shown');
  const none = document.querySelector('.none');
  const known = new Set();
  for (const entry of entries) {
    entry.items = entry.el.dataset.i.toLowerCase().split(' ');
    entry.items.forEach((item) => known.add(item));
  }
  const hostsOf = (entry) => (entry.hosts ??= [...entry.el.querySelectorAll('.hosts > li')]);
  const nameOf = (entry) => (entry.host ??= entry.el.querySelector('summary .where').textContent.toLowerCase());
  const textOf = (entry) => (entry.text ??= entry.el.textContent.toLowerCase());

  // How many findings of the entry are on a host that matches; the others of a folded entry are hidden one by one.
  const countOnHost = (entry, host) => {
    const lines = hostsOf(entry);
    if (!lines.length) return nameOf(entry).includes(host) ? 1 : 0;
    if (!host && !entry.narrowed) return lines.length;
    entry.narrowed = host !== '';
    let count = 0;
    for (const line of lines) {
      line.hidden = !line.firstChild.textContent.toLowerCase().includes(host);
      if (!line.hidden) count += 1;
    }
    return count;
  };

  let total;
  const apply = () => {
    const asked = new FormData(form);
    const statuses = new Set(asked.getAll('status'));
    const severity = asked.get('severity');
    const [host, item] = ['host', 'item'].map((name) => asked.get(name).trim().toLowerCase());
    const words = asked.get('text').toLowerCase().split(/\\s+/).filter(Boolean);
    const exact = known.has(item);
    let count = 0;
    const visible = new Map(lists.map((list) => [list, 0]));
    for (const entry of entries) {
      const { s, v } = entry.el.dataset;
      let hits = 0;
      if (
        (!statuses.size || statuses.has(s)) &&
        (!severity || v === severity) &&
        (!item || entry.items.some((name) => (exact ? name === item : name.includes(item)))) &&
        words.every((word) => textOf(entry).includes(word))
      ) hits = countOnHost(entry, host);
      entry.el.hidden = !hits;
      count += hits;
      visible.set(entry.list, visible.get(entry.list) + hits);
    }
    visible.forEach((hits, list) => { list.hidden = !hits; });
    none.hidden = count > 0;
    total ??= count;
    shown.textContent = `${count.toLocaleString('en')} of ${total.toLocaleString('en')} findings shown`;
  };

  let timer;
  const soon = (milliseconds) => { clearTimeout(timer); timer = setTimeout(apply, milliseconds); };
  form.addEventListener('input', () => soon(entries.length > 500 ? 150 : 0));
  form.addEventListener('submit', (event) => event.preventDefault());
  form.addEventListener('reset', () => soon(0));

  // A link to a finding shows it, whatever is filtered or folded.
  const reveal = () => {
    const target = /^#f[0-9]+$/.test(location.hash) && document.getElementById(location.hash.slice(1));
    if (!target) return;
    if (target.hidden) { form.reset(); clearTimeout(timer); apply(); }
    target.querySelector('details').open = true;
    target.scrollIntoView({ block: 'start' });
    target.querySelector('summary').focus({ preventScroll: true });
  };
  addEventListener('hashchange', reveal);

  document.querySelector('#findings').addEventListener('keydown', (event) => {
    const here = event.target.closest('.rows > li');
    if (!here || event.target.parentElement.parentElement !== here) return;
    const open = () => entries.filter((entry) => !entry.el.hidden).map((entry) => entry.el);
    const rows = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };
    if (!(event.key in rows) || event.ctrlKey || event.altKey || event.metaKey) return;
    const all = open();
    const next = all[Math.max(0, Math.min(all.length - 1, all.indexOf(here) + rows[event.key]))];
    event.preventDefault();
    next.querySelector('summary').focus();
  });

  const unfolded = [];
  addEventListener('beforeprint', () => {
    const folded = '.rows > li:not([data-s=pass]):not([hidden]) > details:not([open])';
    for (const details of document.querySelectorAll(folded)) { details.open = true; unfolded.push(details); }
  });
  addEventListener('afterprint', () => { unfolded.splice(0).forEach((details) => { details.open = false; }); });

  form.hidden = false;
  apply();
  reveal();
})();
"""
