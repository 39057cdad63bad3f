// Drawings in SVG as wide as their place, with axes, and with what they show in words for who cannot see them.
const LETTER = 6.2;

function svg(tag, given = {}, ...inside) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(given)) made.setAttribute(name, value);
  made.append(...inside);
  return made;
}

function drawing(says, height, draw) {
  const place = el("div", { class: "drawing" });
  let drawn = 0;
  new ResizeObserver(() => {
    const width = Math.floor(place.clientWidth);
    if (!width || width === drawn) return;
    drawn = width;
    const made = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": says });
    draw(made, width, height);
    place.replaceChildren(made);
  }).observe(place);
  return place;
}

function ticks(low, high, most = 5) {
  const raw = (high - low) / most;
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * size).find((one) => one >= raw * 0.999);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) found.push(Math.abs(at) < step / 1e6 ? 0 : at);
  return found;
}

function label(x, y, text, given = {}) {
  return svg("text", { x, y, ...given }, text);
}

// Axes, their grid and their titles; returns where a pair of values lies.
function axes(made, box, x, y) {
  const across = (value) => box.left + ((value - x.low) / (x.high - x.low || 1)) * (box.right - box.left);
  const up = (value) => box.bottom - ((value - y.low) / (y.high - y.low || 1)) * (box.bottom - box.top);
  for (const at of ticks(y.low, y.high, 4)) {
    made.append(svg("line", { class: "grid", x1: box.left, x2: box.right, y1: up(at), y2: up(at) }));
    made.append(label(box.left - 7, up(at) + 3.5, num(at), { "text-anchor": "end" }));
  }
  const most = Math.max(2, Math.floor((box.right - box.left) / 56));
  for (const at of ticks(x.low, x.high, most).filter((one) => !x.whole || Number.isInteger(one))) {
    made.append(svg("line", { class: "tick", x1: across(at), x2: across(at), y1: box.bottom, y2: box.bottom + 4 }));
    made.append(label(across(at), box.bottom + 16, num(at), { "text-anchor": "middle" }));
  }
  made.append(svg("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }));
  made.append(label((box.left + box.right) / 2, box.bottom + 33, x.title, { class: "title", "text-anchor": "middle" }));
  made.append(label(0, 11, y.title, { class: "title" }));
  return { across, up };
}

// Trials in their order as dots, and the best so far as a line.
function course(points, metric, greater, most) {
  const done = points.filter((one) => isNumber(one.score));
  let so = null;
  const best = done.map(({ score }) => {
    if (so === null || (greater ? score > so : score < so)) so = score;
    return so;
  });
  const says = done.length
    ? `Best ${metric} so far after each trial: ${num(best[0])} after trial ${done[0].trial}, ${num(so)} after trial ${done.at(-1).trial}; ${points.length - done.length} trials have no score.`
    : "No trial has a score yet.";
  return drawing(says, 220, (made, width, height) => {
    const scores = [...done.map((one) => one.score), ...best];
    const away = scores.map((one) => Math.abs(one - so)).sort((a, b) => a - b);
    const usual = away[Math.floor(away.length * 0.8)] || away.at(-1);
    const reach = Math.max(...away.filter((one) => one <= 2 * usual), Math.abs(so) * 1e-3, 1e-9);
    const near = scores.filter((one) => Math.abs(one - so) <= reach);
    const room = (Math.max(...near) - Math.min(...near)) * 0.12 || reach;
    const y = { low: Math.min(...near) - room, high: Math.max(...near) + room, title: metric };
    const wide = Math.max(...ticks(y.low, y.high, 4).map((one) => num(one).length));
    const box = { left: 12 + wide * LETTER, right: width - 8, top: 22, bottom: height - 40 };
    const last = Math.max(most || 0, ...points.map((one) => one.trial), 2);
    const to = axes(made, box, { low: 0.5, high: last + 0.5, title: "trial", whole: true }, y);
    const inside = (value) => Math.min(Math.max(value, y.low), y.high);
    let path = "";
    done.forEach((one, place) => {
      const at = [to.across(one.trial), to.up(inside(best[place]))];
      path += place ? `H${at[0]}V${at[1]}` : `M${at[0]} ${at[1]}`;
    });
    made.append(svg("path", { class: "best", d: path }));
    for (const one of points) {
      const far = !isNumber(one.score) || one.score < y.low || one.score > y.high;
      const at = to.across(one.trial);
      const hint = svg("title", {}, `trial ${one.trial}: ${words(one.family)} ${isNumber(one.score) ? num(one.score) : one.state}`);
      const down = isNumber(one.score) ? to.up(inside(one.score)) : box.bottom;
      const mark = far
        ? svg("path", { class: "far", d: `M${at - 3} ${down - 3}l6 6m0 -6l-6 6` }, hint)
        : svg("circle", { class: "dot", cx: at, cy: down, r: 3.2 }, hint);
      made.append(mark);
    }
  });
}

// What was said against what happened, bin by bin, with the 95 % intervals.
function reliability(bins) {
  const told = bins.map((one) => `said ${num(one.said, 2)}, happened ${num(one.happened.value, 2)}`).join("; ");
  return drawing(`Calibration: ${told}.`, 260, (made, width, height) => {
    const box = { left: 40, right: Math.min(width - 10, 440), top: 22, bottom: height - 40 };
    const unit = { low: 0, high: 1 };
    const to = axes(made, box, { ...unit, title: "probability that was said" }, { ...unit, title: "share that happened" });
    made.append(svg("line", { class: "even", x1: to.across(0), y1: to.up(0), x2: to.across(1), y2: to.up(1) }));
    const most = Math.max(...bins.map((one) => one.rows), 1);
    for (const { said, happened, rows } of bins.filter((one) => isNumber(one.said) && one.happened && isNumber(one.happened.value))) {
      const x = to.across(said);
      if (isNumber(happened.low)) made.append(svg("line", { class: "whisker", x1: x, x2: x, y1: to.up(happened.low), y2: to.up(happened.high) }));
      const hint = svg("title", {}, `${rows} rows: said ${num(said, 3)}, happened ${num(happened.value, 3)}`);
      made.append(svg("circle", { class: "dot", cx: x, cy: to.up(happened.value), r: 2.5 + 3.5 * Math.sqrt(rows / most) }, hint));
    }
  });
}

// A figure on its own scale: the interval, the value, and what it is to be compared with. Shares of the width, no units.
function strip(value, low, high, against, least, most) {
  const part = (at) => ((at - least) / (most - least || 1)) * 100 + "%";
  const parts = [el("span", { class: "rail" })];
  if (isNumber(low) && isNumber(high)) parts.push(el("span", { class: "range", "--from": part(low), "--to": part(high) }));
  if (isNumber(against)) parts.push(el("span", { class: "against", "--at": part(against) }));
  if (isNumber(value)) parts.push(el("span", { class: "point", "--at": part(value) }));
  return el("div", { class: "strip", "aria-hidden": "true" }, ...parts);
}

// A bar from zero with a whisker, on a scale that several share.
function length(value, spread, least, most) {
  const part = (at) => ((at - least) / (most - least || 1)) * 100 + "%";
  const parts = [el("span", { class: value > 0 ? "fill" : "fill none", "--from": part(Math.min(0, value)), "--to": part(Math.max(0, value)) })];
  if (isNumber(spread) && spread > 0) parts.push(el("span", { class: "range thin", "--from": part(value - spread), "--to": part(value + spread) }));
  parts.push(el("span", { class: "zero", "--at": part(0) }));
  return el("div", { class: "strip", "aria-hidden": "true" }, ...parts);
}
