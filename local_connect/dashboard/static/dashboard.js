/* The dashboard's own script: old addresses, the key, and what is new. Pages work without it. */
"use strict";

// rsconnect prints /connect/#/apps/<guid>, with /logs after a failure
const PLACES = { logs: "logs", access: "settings#access", vars: "settings#variables" };

function followHash() {
  const match = /^#\/apps\/([0-9a-f-]{36})(?:\/([a-z]+))?/.exec(location.hash);
  if (match && location.pathname === "/connect/") {
    location.replace(`/connect/apps/${match[1]}/${PLACES[match[2]] ?? ""}`);
  }
}

function offerKey(block) {
  const secret = block.querySelector("[data-secret]");
  const reveal = block.querySelector("[data-reveal]");
  const copy = block.querySelector("[data-copy]");
  const dots = secret?.textContent;
  block.querySelector(".buttons").hidden = false;
  block.querySelector("[data-plain]")?.remove();

  function show(open) {
    if (!secret) return;
    secret.textContent = open ? secret.dataset.secret : dots;
    reveal.setAttribute("aria-pressed", open);
    reveal.textContent = open ? "Hide key" : "Show key";
  }

  reveal?.addEventListener("click", () => show(reveal.getAttribute("aria-pressed") === "false"));
  copy.addEventListener("click", () => {
    const hidden = reveal?.getAttribute("aria-pressed") === "false";
    // a page without an origin may not use the clipboard but by selecting
    show(true);
    getSelection().selectAllChildren(block.querySelector("code"));
    const done = document.execCommand("copy");
    getSelection().removeAllRanges();
    if (hidden) show(false);
    copy.textContent = done ? "Copied" : "Not copied: select it instead";
    setTimeout(() => { copy.textContent = "Copy"; }, 2000);
  });
}

function closeMenus(event) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    const away = event.type === "click" && !menu.contains(event.target);
    if (away || event.key === "Escape") {
      const inside = menu.contains(document.activeElement);
      menu.open = false;
      if (inside) menu.querySelector("summary").focus();
    }
  }
}

function addLines(log, lines) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.querySelector("[data-empty]")?.remove();
  for (const [time, text] of lines) {
    const line = document.createElement("div");
    line.className = "line";
    if (time) {
      const at = line.appendChild(document.createElement("span"));
      at.className = "at";
      at.textContent = time;
    }
    const words = line.appendChild(document.createElement("span"));
    words.dir = "auto";
    words.textContent = text;
    log.append(line);
  }
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function addRequests(list, rows) {
  list.querySelector("[data-empty]")?.remove();
  for (const { number, row } of rows) {
    const known = list.querySelector(`[data-number="${number}"]`);
    list.insertAdjacentHTML("afterbegin", row);
    const added = list.firstElementChild;
    if (!known) continue;
    if (known.hasAttribute("aria-current")) added.setAttribute("aria-current", "true");
    known.replaceWith(added);
  }
}

function watch() {
  const { token, guid, requests, underWay } = document.body.dataset;
  const log = document.querySelector(".log");
  if (log) log.scrollTop = log.scrollHeight;
  if (!token) return;
  const query = new URLSearchParams({ token });
  if (guid) query.set("guid", guid);
  if (requests !== undefined) {
    for (const [name, value] of new URLSearchParams(location.search)) query.set(name, value);
    query.set("requests", "");
    query.set("from", requests);
    query.set("under_way", underWay);
  }
  if (log?.dataset.log) {
    query.set("log", log.dataset.log);
    query.set("from", log.dataset.lines);
  }
  const news = new EventSource(`/connect/live?${query}`);
  news.addEventListener("states", (event) => {
    for (const [of, state] of Object.entries(JSON.parse(event.data))) {
      const badge = document.querySelector(`[data-guid="${of}"][data-state]`);
      // content that has come since is for the server to show
      if (!badge) return location.reload();
      badge.dataset.state = badge.textContent = state;
    }
  });
  const list = document.querySelector(".requests");
  news.addEventListener("requests", (event) => addRequests(list, JSON.parse(event.data)));
  news.addEventListener("reset", () => log.replaceChildren());
  news.addEventListener("lines", (event) => addLines(log, JSON.parse(event.data)));
  // how it ended is for the server to say
  news.addEventListener("end", () => {
    news.close();
    location.replace(`${location.pathname}?log=${log.dataset.log}`);
  });
  // to connect again would be to begin at the first line, or request, again
  if (log?.dataset.log || list) news.addEventListener("error", () => news.close());
}

followHash();
addEventListener("hashchange", followHash);
document.querySelectorAll(".copy").forEach(offerKey);
addEventListener("click", closeMenus);
addEventListener("keydown", closeMenus);
watch();
