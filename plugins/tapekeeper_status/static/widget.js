// Fills the page from `intraday` and from the list of all datasets; all addresses are relative, for any base path.
"use strict";

const DATASET = "deribit.perpetual_candles";
const REFRESH_MILLISECONDS = 30_000;
const TIMEOUT_MILLISECONDS = 15_000;
const NONE = "–";
const RUNNING = "RUNNING";
const STOPPED = "STALE / STOPPED";
const UNKNOWN = "UNKNOWN";
const UNUSED = "NOT USED";
const CHECKS = { green: "GREEN", warning: "WARNING", red: "RED", failed: "NOT DONE", running: "CHECKING" };
const PILLS = {
  [RUNNING]: "running",
  [STOPPED]: "stopped",
  [UNKNOWN]: "unknown",
  [UNUSED]: "unknown",
  [CHECKS.green]: "running",
  [CHECKS.warning]: "warning",
  [CHECKS.red]: "stopped",
  [CHECKS.failed]: "stopped",
  [CHECKS.running]: "unknown",
};
const WINDOWS = ["24h", "7d", "30d"];

const whole = new Intl.NumberFormat("en-US");
const oneDecimal = new Intl.NumberFormat("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

const byId = (id) => document.getElementById(id);
const button = byId("refresh-scraper-status-btn");
let timer;
let updatedAt = 0;
let lastTurn = 0;

// ---- Words ----

function moment(iso) {
  return iso ? iso.slice(0, 16).replace("T", " ") : NONE;
}

function megabytes(value) {
  return `${oneDecimal.format(value)} MB`;
}

function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 36 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${whole.format(Math.round(seconds / 86_400))} days`;
}

function interval(seconds) {
  return seconds < 90 ? `${seconds} s` : `${whole.format(seconds)} s (${duration(seconds)})`;
}

// Rounded down: 100 % is said only of what is complete.
function percent(ratio) {
  return ratio === null ? NONE : `${oneDecimal.format(Math.floor(ratio * 1000) / 10)} %`;
}

function freshness(seconds) {
  if (seconds === null || seconds === undefined) return "No data yet";
  return `Newest event ${duration(Math.max(0, seconds))} ago`;
}

// ---- Parts of the page ----

function setText(id, text) {
  byId(id).textContent = text;
}

// An unchanged message is not set again, so that a screen reader does not say it every 30 seconds.
function say(message, kind) {
  const element = byId("scraper-status-message");
  if (element.textContent !== message) element.textContent = message;
  element.dataset.kind = kind;
}

function setPill(element, text) {
  element.textContent = text;
  element.dataset.state = PILLS[text];
}

function pillText(status) {
  if (!status.ok) return UNKNOWN;
  return status.is_running ? RUNNING : STOPPED;
}

// Of what nobody asked for nothing can be stale.
function datasetPillText(dataset) {
  return dataset.ok && dataset.series_count === 0 ? UNUSED : pillText(dataset);
}

function showBox(status) {
  setText("scraper-source", status.source);
  setText("scraper-backend", status.backend);
  setText("scraper-rows", whole.format(status.rows_total));
  setText("scraper-days", whole.format(status.days_covered));
  setText("scraper-size", megabytes(status.approx_size_mb));
  setText("scraper-interval", interval(status.target_interval_sec));
  const empty = status.first_timestamp === null;
  setText("scraper-range", empty ? "No data yet" : `${moment(status.first_timestamp)} → ${moment(status.last_timestamp)}`);
  setPill(byId("scraper-running"), pillText(status));
}

function cell(label, content, classes = "") {
  const element = document.createElement("td");
  element.dataset.label = label;
  element.className = classes;
  element.append(content);
  return element;
}

function datasetName(dataset) {
  const element = document.createElement("th");
  element.scope = "row";
  const source = document.createElement("span");
  source.className = "quiet";
  source.textContent = dataset.source;
  element.append(dataset.dataset, source);
  return element;
}

function pill(text) {
  const element = document.createElement("span");
  element.className = "pill small";
  setPill(element, text);
  return element;
}

function newest(dataset) {
  const element = document.createElement("span");
  element.textContent = moment(dataset.last_timestamp);
  if (dataset.freshness_seconds !== null) {
    const age = document.createElement("span");
    age.className = "quiet";
    age.textContent = `${duration(Math.max(0, dataset.freshness_seconds))} ago`;
    element.append(age);
  }
  return element;
}

function completeness(dataset) {
  if (dataset.completeness === null) return NONE;
  const element = document.createElement("span");
  element.className = "complete";
  const meter = document.createElement("span");
  meter.className = "meter";
  const bar = document.createElement("progress");
  bar.max = 1;
  bar.value = dataset.completeness;
  bar.setAttribute("aria-label", "completeness");
  meter.append(bar, percent(dataset.completeness));
  const explained = dataset.explained > 0 ? ` and ${whole.format(dataset.explained)} explained` : "";
  element.title = `${whole.format(dataset.held)} held${explained} of ${whole.format(dataset.expected)} expected`;
  const lately = document.createElement("span");
  lately.className = "quiet";
  lately.textContent = WINDOWS.map((window) => `${window} ${percent(dataset[`completeness_${window}`])}`).join(" · ");
  element.append(meter, lately);
  return element;
}

function gaps(dataset) {
  const element = document.createElement("span");
  element.textContent = whole.format(dataset.gaps_open);
  if (dataset.gaps_open > 0) element.className = "alarming";
  return element;
}

function verdict(run) {
  if (run.state === "running" || run.state === "failed") return CHECKS[run.state];
  return CHECKS[run.alarms > 0 ? "red" : run.warnings > 0 ? "warning" : "green"];
}

function lastCheck(run) {
  if (!run) return NONE;
  const element = document.createElement(run.has_report ? "a" : "span");
  element.className = "check";
  if (run.has_report) element.href = `reports/${run.run_id}/`;
  const state = document.createElement("span");
  state.className = "pill small";
  setPill(state, verdict(run));
  const when = document.createElement("span");
  when.className = "quiet";
  when.textContent = moment(run.finished_at ?? run.started_at);
  element.append(state, when);
  element.title = `Quality run ${run.run_id}: ${run.checks} checks, ${run.alarms} alarms, ${run.warnings} warnings`;
  return element;
}

function backfill(dataset) {
  const element = document.createElement("span");
  const alarm = document.createElement("span");
  alarm.className = "alarming";
  const lastRun = dataset.last_run ? `Last run ${dataset.last_run.state}` : "No run yet";
  if (dataset.chunks_failed > 0) alarm.textContent = `${whole.format(dataset.chunks_failed)} failed`;
  else if (dataset.last_run?.state === "failed") alarm.textContent = lastRun;
  if (dataset.chunks_pending > 0) element.append(`${whole.format(dataset.chunks_pending)} chunks to do`);
  else if (!alarm.textContent) element.append(lastRun);
  if (element.textContent && alarm.textContent) element.append(", ");
  element.append(alarm);
  return element;
}

function datasetRow(dataset) {
  const row = document.createElement("tr");
  row.dataset.dataset = dataset.dataset;
  row.append(
    datasetName(dataset),
    cell("State", pill(datasetPillText(dataset))),
    cell("Rows", whole.format(dataset.rows_total), "number"),
    cell("Days", whole.format(dataset.days_covered), "number"),
    cell("Newest event (UTC)", newest(dataset), "moment"),
    cell("Complete", completeness(dataset)),
    cell("Open gaps", gaps(dataset), "number"),
    cell("Last check", lastCheck(dataset.last_quality_run)),
    cell("Series", whole.format(dataset.series_count), "number"),
    cell("Size", megabytes(dataset.approx_size_mb), "number"),
    cell("Backfill", backfill(dataset)),
  );
  return row;
}

// ---- Asking ----

// What was known stays on the page, but greyed, and without a claim that anything is running.
function showTrouble(message) {
  document.body.dataset.outdated = "true";
  for (const element of document.querySelectorAll(".pill")) setPill(element, UNKNOWN);
  if (updatedAt === 0) {
    setText("scraper-freshness", "Nothing is known yet");
    byId("dataset-rows").firstElementChild.firstElementChild.textContent = "Nothing is known yet";
  }
  say(message, "error");
}

class Refused extends Error {}

async function ask(address) {
  let answer;
  try {
    answer = await fetch(address, {
      cache: "no-store",
      credentials: "same-origin",
      headers: { Accept: "application/json" },
      signal: AbortSignal.timeout(TIMEOUT_MILLISECONDS),
    });
  } catch {
    throw new Refused("Airflow does not answer: trying again every 30 s.");
  }
  if (answer.status === 401 || answer.status === 403) {
    throw new Refused("Your session has ended: log in to Airflow again, then press Refresh.");
  }
  const body = await answer.json().catch(() => null);
  const error = Array.isArray(body) ? body.find((dataset) => !dataset.ok)?.error : body?.error;
  if (!answer.ok || body === null) throw new Refused(error ?? `Airflow answered with HTTP ${answer.status}.`);
  return body;
}

function showAnswers(status, datasets, pressed) {
  showBox(status);
  setText("scraper-freshness", freshness(datasets.find((each) => each.dataset === DATASET)?.freshness_seconds));
  byId("dataset-rows").replaceChildren(...datasets.map(datasetRow));
  document.body.dataset.outdated = "false";
  updatedAt = Date.now();
  setText("scraper-updated", `Updated ${new Date(updatedAt).toISOString().slice(11, 19)} UTC · every 30 s`);
  if (status.first_timestamp === null) say("No data yet: trigger the DAG deribit_perpetual_candles to fetch some.", "hint");
  else say(pressed ? "Refreshed." : "", "quiet");
}

async function refresh(pressed) {
  const turn = ++lastTurn;
  window.clearTimeout(timer);
  button.setAttribute("aria-busy", "true");
  let show;
  try {
    const [status, datasets] = await Promise.all([ask(`intraday?dataset=${DATASET}`), ask("./")]);
    show = () => showAnswers(status, datasets, pressed);
  } catch (error) {
    show = () => showTrouble(error instanceof Refused ? error.message : "The answer of Airflow could not be understood.");
  }
  if (turn !== lastTurn) return; // The button was pressed meanwhile: the later answer counts.
  button.removeAttribute("aria-busy");
  timer = window.setTimeout(refresh, REFRESH_MILLISECONDS, false);
  show();
}

button.addEventListener("click", () => refresh(true));
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && Date.now() - updatedAt > REFRESH_MILLISECONDS) refresh(false);
});
refresh(false);
