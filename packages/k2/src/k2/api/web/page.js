// The page asks the API like any other client, once a second, and draws what it says. Text is only ever set as text.

import { drawLine } from "./line.js";

const EVERY_MS = 1000;
const SHOWN_TRADES = 600;

const find = (id) => document.getElementById(id);
const numbers = new Intl.NumberFormat("en");
let key = document.querySelector('meta[name="k2-key"]').content || sessionStorage.getItem("k2-key") || "";
let symbol = null;

async function ask(path) {
  const answer = await fetch(path, { headers: { "X-API-Key": key }, signal: AbortSignal.timeout(5000) });
  const body = await answer.json();
  if (!answer.ok && path !== "/health/ready") {
    throw Object.assign(new Error(body.error), { status: answer.status });
  }
  return body;
}

function tell(text, mood) {
  find("state").textContent = text;
  find("state").className = `state ${mood}`;
}

function figure(id, value, bad = false) {
  find(id).textContent = typeof value === "number" ? numbers.format(value) : value;
  find(id).className = bad ? "bad" : "";
}

const total = (counts) => Object.values(counts).reduce((sum, count) => sum + count, 0);

function ago(seconds) {
  if (seconds < 0) return `in ${(-seconds).toFixed(1)} s`;
  if (seconds < 120) return `${seconds.toFixed(1)} s ago`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min ago` : `${Math.round(seconds / 3600)} h ago`;
}

function rowOf(cells) {
  const row = document.createElement("tr");
  for (const [text, mood] of cells) {
    const cell = row.insertCell();
    cell.textContent = text;
    if (mood) cell.className = mood;
  }
  return row;
}

const clock = (iso) => (iso || "–").replace("T", " ").replace(/\d{3}Z$/, "");

function showStatus(status) {
  figure("lag", total(status.lag_records));
  figure("tail", status.tail_rows);
  figure("rows", status.table_rows);
  figure("gaps", status.open_gaps, status.open_gaps > 0);
  figure("letters", total(status.dead_letters), total(status.dead_letters) > 0);
  find("fresh").replaceChildren(
    ...status.freshness.map((it) =>
      rowOf([[it.symbol], [clock(it.last_trade)], [ago(it.age_s)], [ago(it.event_age_s)],
        it.stale ? ["stale", "bad"] : ["fresh", "good"]])),
  );
  find("no-gaps").hidden = status.gaps.length > 0;
  find("gap-table").hidden = status.gaps.length === 0;
  find("gap-rows").replaceChildren(
    ...status.gaps.map((gap) =>
      rowOf([[gap.symbol], [gap.first], [gap.last], [numbers.format(gap.missing)], [clock(gap.opened)]])),
  );
  showSymbols(status.freshness.map((it) => it.symbol));
}

function showSymbols(names) {
  if (!names.includes(symbol)) symbol = names[0] ?? null;
  const shown = [...find("symbols").children].map((button) => button.textContent);
  if (shown.join() !== names.join()) {
    find("symbols").replaceChildren(
      ...names.map((name) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = name;
        button.addEventListener("click", () => {
          symbol = name;
          mark();
          showPrice().catch(trouble);
        });
        return button;
      }),
    );
  }
  mark();
}

function mark() {
  for (const button of find("symbols").children) {
    button.setAttribute("aria-pressed", String(button.textContent === symbol));
  }
}

async function showPrice() {
  if (symbol === null) return;
  const asked = symbol;
  const page = await ask(`/v1/trades/recent?symbol=${encodeURIComponent(asked)}&limit=${SHOWN_TRADES}`);
  if (asked !== symbol || page.data.length === 0) return;
  const trades = page.data.toReversed();
  const points = trades.map((trade) => [Date.parse(trade.timestamp), Number(trade.price)]);
  const last = trades.at(-1).price.replace(/(\.\d\d\d*?)0+$/, "$1");
  find("price").textContent = last;
  const change = points.at(-1)[1] - points[0][1];
  const minutes = (points.at(-1)[0] - points[0][0]) / 60000;
  find("change").textContent =
    `${change >= 0 ? "+" : "−"}${Math.abs(change).toFixed(2)} in ${minutes < 1 ? `${Math.round(minutes * 60)} s` : `${minutes.toFixed(1)} min`}`;
  find("line").setAttribute("aria-label", `Price of ${asked}, the newest ${points.length} trades, now ${last}`);
  drawLine(find("line"), points);
}

function trouble(error) {
  if (error.status === 401) {
    find("ask").hidden = false;
    tell("This API wants its key.", "bad");
    return;
  }
  tell(error.status ? error.message : "The API does not answer; trying again.", "bad");
}

async function look() {
  try {
    const [ready, status] = await Promise.all([ask("/health/ready"), ask("/v1/status")]);
    find("ask").hidden = true;
    if (ready.status === "ready") tell("Ready: data are fresh.", "good");
    else tell(`Not ready: ${ready.reasons.join("; ")}.`.replace("..", "."), "bad");
    showStatus(status.data);
    await showPrice();
  } catch (error) {
    trouble(error);
  }
  setTimeout(look, EVERY_MS);
}

find("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  key = find("key").value;
  sessionStorage.setItem("k2-key", key);
});

look();
