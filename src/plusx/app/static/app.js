// What keeps a page alive: when a control moves, the page's parts are asked for again, and those that changed
// are put in place. This script computes nothing; every number comes from Python.
"use strict";

const root = document.documentElement;
if (localStorage.getItem("plusx-theme")) root.dataset.theme = localStorage.getItem("plusx-theme");

addEventListener("DOMContentLoaded", () => {
  document.getElementById("theme").addEventListener("click", switchTheme);
  const form = document.getElementById("controls");
  if (form) enliven(form);
});

function switchTheme() {
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("plusx-theme", root.dataset.theme);
}

function enliven(form) {
  const shown = new Map(); // what each part holds, as it came from the server
  let busy = false, again = false, playing = null;

  const field = (name) => form.elements[name];
  const values = () => new URLSearchParams([...new FormData(form)].filter(([, value]) => typeof value === "string"));
  const set = (assignment) => {
    const [name, value] = assignment.split("=");
    field(name).value = value;
  };
  const notice = (text) => {
    const place = document.getElementById("notice");
    place.textContent = text;
    place.hidden = !text;
  };

  // One question at a time; while it is under way the controls may move on, and the last word counts.
  async function refresh() {
    if (busy) { again = true; return; }
    busy = true;
    form.setAttribute("aria-busy", "true");
    try {
      do {
        again = false;
        const query = values().toString();
        const answer = await fetch(`${location.pathname}/parts?${query}`);
        if (answer.status === 403) { location.reload(); return; }
        if (!answer.ok) { notice(document.body.dataset.failed); continue; }
        const found = await answer.json();
        notice("");
        showFaults(found.faults || {});
        if (found.parts) {
          showParts(found.parts);
          keepAddress(query);
        }
      } while (again);
    } catch {
      notice(document.body.dataset.noAnswer);
    } finally {
      busy = false;
      form.removeAttribute("aria-busy");
      root.dataset.answers = Number(root.dataset.answers || 0) + 1;
    }
  }

  function showParts(parts) {
    for (const [name, html] of Object.entries(parts)) {
      const place = document.getElementById(`part-${name}`);
      if (!place || shown.get(name) === html) continue;
      const focused = place.contains(document.activeElement) ? document.activeElement : null;
      if (focused && focused.matches("input, select, textarea")) continue; // never under the user's hands
      place.innerHTML = html;
      shown.set(name, html);
      if (focused && focused.id) document.getElementById(focused.id)?.focus();
    }
    echo();
    poll();
  }

  function showFaults(faults) {
    for (const place of document.querySelectorAll("[data-fault]")) {
      place.textContent = faults[place.dataset.fault] || "";
      delete faults[place.dataset.fault];
    }
    const rest = Object.values(faults);
    if (rest.length) notice(rest.join(" "));
  }

  // The address always says what the page shows, so that it can be kept, sent, and read in the other language.
  function keepAddress(query) {
    history.replaceState(null, "", `${location.pathname}?${query}`);
    const other = document.getElementById("language");
    other.search = query;
  }

  function echo() {
    for (const place of document.querySelectorAll("[data-echo]")) {
      const source = field(place.dataset.echo);
      if (source) place.textContent = source.value;
    }
    for (const place of document.querySelectorAll("[data-when], [data-unless]")) {
      const [name, value] = (place.dataset.when || place.dataset.unless).split("=");
      place.hidden = (field(name).value === value) === Boolean(place.dataset.unless);
    }
  }

  // A part that says data-every="1000" is asked for again after so many milliseconds.
  let timer = null;
  function poll() {
    clearTimeout(timer);
    const place = document.querySelector("[data-every]");
    if (place) timer = setTimeout(() => (document.hidden ? poll() : refresh()), Number(place.dataset.every));
  }

  document.addEventListener("input", (event) => {
    const control = event.target;
    if (control.form !== form || control.type === "file") return;
    if (control.dataset.sets) set(control.dataset.sets);
    echo();
    refresh();
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); refresh(); });

  // Pointing: data-point="x y" names the fields for the column and the row of the pixel pointed at.
  function move(surface, column, row) {
    const [x, y] = surface.dataset.point.split(" ").map(field);
    if (surface.dataset.sets) set(surface.dataset.sets);
    const within = (value, count) => Math.max(0, Math.min(count - 1, value));
    x.value = within(column, Number(surface.dataset.columns));
    y.value = within(row, Number(surface.dataset.rows));
    echo();
    refresh();
  }
  function pointed(event) {
    const surface = event.target.closest?.("[data-point]");
    if (!surface || (event.type === "pointermove" && "click" in surface.dataset)) return;
    const box = surface.getBoundingClientRect();
    move(
      surface,
      Math.floor(((event.clientX - box.left) / box.width) * surface.dataset.columns),
      Math.floor(((event.clientY - box.top) / box.height) * surface.dataset.rows),
    );
  }
  document.addEventListener("pointermove", pointed);
  document.addEventListener("pointerdown", pointed);
  document.addEventListener("keydown", (event) => {
    const surface = event.target.closest?.("[data-point]");
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!surface || !by) return;
    event.preventDefault();
    const [x, y] = surface.dataset.point.split(" ").map((name) => Number(field(name).value));
    move(surface, x + by[0], y + by[1]);
  });

  // Playing: the window goes from pixel to pixel, row by row, and begins again at the end.
  function step() {
    const surface = document.querySelector("[data-point]");
    const [x, y] = surface.dataset.point.split(" ").map((name) => Number(field(name).value));
    const columns = Number(surface.dataset.columns), rows = Number(surface.dataset.rows);
    const next = (y * columns + x + 1) % (columns * rows);
    move(surface, next % columns, Math.floor(next / columns));
  }
  document.querySelector("[data-step]")?.addEventListener("click", step);
  const player = document.querySelector("[data-play]");
  const playText = player?.textContent;
  player?.addEventListener("click", () => {
    playing = playing ? clearInterval(playing) : setInterval(() => busy || step(), 160);
    player.textContent = playing ? player.dataset.pause : playText;
    player.setAttribute("aria-pressed", String(Boolean(playing)));
  });

  // Uploading: a chosen or dropped file goes to the server, and its name comes back.
  async function upload(content) {
    const place = document.querySelector('[data-fault="picture"]');
    place.textContent = "";
    try {
      const answer = await fetch("upload", { method: "POST", body: content });
      const found = answer.ok ? await answer.json() : { fault: `${answer.status} ${answer.statusText}` };
      if (found.fault) { place.textContent = found.fault; return; }
      const own = document.querySelector("[data-own]");
      own.hidden = false;
      own.querySelector("input").value = found.picture;
      own.querySelector("input").checked = true;
      refresh();
    } catch {
      place.textContent = document.body.dataset.noAnswer;
    }
  }
  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-upload]") || !event.target.files.length) return;
    upload(event.target.files[0]);
    event.target.value = "";
  });
  // Actions: data-post="stop" sends the controls there, and data-which says whom it is about.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-post]");
    if (!button) return;
    button.disabled = true;
    const body = values();
    if (button.dataset.which) body.set("which", button.dataset.which);
    try {
      const answer = await fetch(`${location.pathname}/${button.dataset.post}`, { method: "POST", body });
      if (!answer.ok) throw new Error(answer.status);
      const found = await answer.json();
      await refresh();
      showFaults(found.faults || {});
    } catch {
      notice(document.body.dataset.noAnswer);
    } finally {
      button.disabled = false;
    }
  });

  // The camera: its picture is uploaded like any other.
  const camera = document.querySelector("[data-camera]");
  if (camera) {
    const video = camera.querySelector("video"), shoot = camera.querySelector("[data-shoot]");
    const place = document.querySelector('[data-fault="picture"]');
    camera.querySelector("[data-open]").addEventListener("click", async () => {
      try {
        video.srcObject = await navigator.mediaDevices.getUserMedia({ video: true });
        await video.play();
        video.hidden = shoot.hidden = false;
      } catch {
        place.textContent = camera.dataset.fail;
      }
    });
    shoot.addEventListener("click", () => {
      const canvas = document.createElement("canvas");
      canvas.width = video.videoWidth;
      canvas.height = video.videoHeight;
      canvas.getContext("2d").drawImage(video, 0, 0);
      for (const track of video.srcObject.getTracks()) track.stop();
      video.hidden = shoot.hidden = true;
      canvas.toBlob(upload, "image/png");
    });
  }
  document.addEventListener("dragover", (event) => {
    if (document.querySelector("[data-drop]")) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    if (!document.querySelector("[data-drop]")) return;
    event.preventDefault();
    if (event.dataTransfer.files.length) upload(event.dataTransfer.files[0]);
  });

  echo();
  if ("later" in document.body.dataset) refresh();
  else poll();
}
