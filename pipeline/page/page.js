"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // Every text is set as text, never as markup.
  const make = (tag, options = {}, ...children) => {
    const { text, cls, ...attributes } = options;
    const node = document.createElement(tag);
    if (cls) node.className = cls;
    if (text !== undefined) node.textContent = text;
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };

  // Tables: sort, filter, tabs
  const value = (row, place) => row.children[place].dataset.sort ?? row.children[place].textContent;
  const compare = (a, b) => (isNaN(a) || isNaN(b) ? a.localeCompare(b) : Number(a) - Number(b));
  for (const table of all("table.sortable")) {
    all("thead th", table).forEach((head, place) => {
      head.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === (place ? "descending" : "ascending");
        const order = place ? (down ? "ascending" : "descending") : down ? "descending" : "ascending";
        all("thead th", table).forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", order);
        const sign = order === "ascending" ? 1 : -1;
        const rows = all("tbody tr", table).sort((one, two) => {
          const [a, b] = [value(one, place), value(two, place)];
          if (a === "" || b === "") return (a === "") - (b === "");
          return sign * compare(a, b);
        });
        table.tBodies[0].append(...rows);
      });
    });
  }
  const filter = document.getElementById("filter");
  const controls = document.getElementById("controls");
  const refilter = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of all("tr[data-row]")) {
      const name = row.dataset.row.toLowerCase();
      const wanted = !words.length || words.some((word) => name.includes(word));
      row.hidden = !wanted || (controls && !controls.checked && "control" in row.dataset);
    }
  };
  filter.addEventListener("input", refilter);
  controls?.addEventListener("change", refilter);
  const tab = (chosen) => {
    all("div.tab").forEach((each) => (each.hidden = each.dataset.tab !== chosen));
    all(".tabs button").forEach((each) => each.setAttribute("aria-pressed", each.dataset.tab === chosen));
  };
  all(".tabs button").forEach((each) => each.addEventListener("click", () => tab(each.dataset.tab)));
  tab("0");
  const pair = document.getElementById("pair");
  const repair = () => all("div.pair").forEach((each) => (each.hidden = each.dataset.pair !== pair.value));
  pair.addEventListener("change", repair);
  repair();

  // Charts
  const config = () => ({ ...data.look[document.documentElement.dataset.theme], background: "transparent", font: "system-ui, sans-serif" });
  let focus = "";
  const views = new Map();
  const draw = async (node) => {
    const spec = data.charts[node.dataset.chart][Number(node.dataset.place)];
    views.get(node)?.finalize();
    const drawn = await vegaEmbed(node, spec, { actions: false, ast: true, renderer: "svg", config: config(), tooltip: { theme: document.documentElement.dataset.theme } });
    views.set(node, drawn);
    if (focus) bring(drawn);
  };
  const bring = (drawn) => drawn.view.signal("focus", focus).runAsync();
  const nearby = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) { nearby.unobserve(entry.target); draw(entry.target); }
    }
  }, { rootMargin: "600px" });
  all(".figure").forEach((node) => nearby.observe(node));
  all(".legend button").forEach((button) => button.addEventListener("click", () => {
    focus = focus === button.dataset.focus ? "" : button.dataset.focus;
    all(".legend button").forEach((each) => {
      each.setAttribute("aria-pressed", each.dataset.focus === focus);
      each.classList.toggle("faded", focus !== "" && each.dataset.focus !== focus);
    });
    views.forEach(bring);
  }));

  // Theme: the system's, unless chosen
  const themes = ["system", "light", "dark"];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  let theme = "system";
  const paint = () => {
    const shown = theme === "system" ? (dark.matches ? "dark" : "light") : theme;
    document.documentElement.dataset.theme = shown;
    button.textContent = `theme: ${theme}`;
    for (const node of views.keys()) draw(node);
  };
  button.addEventListener("click", () => { theme = themes[(themes.indexOf(theme) + 1) % themes.length]; paint(); });
  dark.addEventListener("change", paint);
  paint();

  // Latent browser
  const saes = data.browser.flatMap((file) => file.saes.map((sae) => ({ ...sae, words: file.words, shared: file.text })));
  const heat = (shade) => `rgba(var(--heat), ${shade ? (0.12 + 0.88 * shade / 99).toFixed(2) : 0})`;
  const tokens = (words, shades, peak) => make("div", { cls: "tokens" }, ...words.flatMap((word, place) => {
    const span = make("span", { text: word, cls: place === peak ? "peak" : "" });
    if (shades[place]) span.style.background = heat(shades[place] * 0.7);
    return [span, " "];
  }));
  const list = (title, rows) => make("div", {}, make("h3", { text: title }), make("ul", {},
    ...rows.map(([name, number]) => make("li", {}, make("span", { text: name }), make("span", { text: number.toFixed(2), cls: "soft" })))));
  const detail = (sae, latent) => {
    const named = (rows) => rows.map(([word, logit]) => [sae.words[word], logit]);
    const top = Math.max(...latent.histogram, 1);
    const bars = make("div", { cls: "bars", title: "activations from 0 to the peak, log count" }, ...latent.histogram.map((count) => {
      const bar = make("i");
      bar.style.height = `${100 * Math.log1p(count) / Math.log1p(top)}%`;
      return bar;
    }));
    const flicker = latent.flicker === null ? "unknown" : latent.flicker.toFixed(3);
    return make("div", { cls: "detail" },
      make("h3", { text: `${sae.label} ${sae.run}, latent ${latent.latent}: ${latent.why.join("; ")}` }),
      make("div", { cls: "facts soft" }, make("span", { text: `density ${latent.density}` }), make("span", { text: `peak ${latent.peak}` }), make("span", { text: `flicker ${flicker}` }), make("span", { text: `like its partner in another seed ${latent.stability ?? "unknown"}` })),
      make("h3", { text: "On the shared text" }), tokens(sae.shared.map((at) => sae.words[at]), latent.text, -1),
      make("h3", { text: "Strongest contexts" }),
      ...latent.contexts.map((each) => make("div", { cls: "context" }, make("div", { cls: "value", text: each.value.toPrecision(3) }), tokens(each.words.map((at) => sae.words[at]), each.shades, each.at))),
      make("h3", { text: "Activations" }), bars,
      make("div", { cls: "lists" }, list("Promotes", named(latent.promoted)), list("Suppresses", named(latent.suppressed)), list("Decoder neighbours, cosine", latent.neighbours)));
  };
  const side = (node, first) => {
    const which = make("select", { "aria-label": "SAE" }, ...saes.map((sae, place) => make("option", { value: place, text: `${sae.label} ${sae.run}` })));
    const kind = make("select", { "aria-label": "Kind of latents" });
    const strips = make("div", { cls: "strips" });
    const shown = make("div", { cls: "shown" });
    const sort = (latent) => latent.why.map((why) => why.split(" ")[0]);
    const names = { on: "strongest on the shared text", dense: "densest", letter: "first letters", absorbs: "absorbing", steady: "flickering least", flickering: "flickering most", random: "random" };
    const show = () => {
      const sae = saes[Number(which.value)];
      const chosen = sae.latents.filter((latent) => sort(latent).includes(kind.value));
      const rows = chosen.map((latent) => {
        const cells = latent.text.map((shade, place) => {
          const cell = make("i", { title: sae.words[sae.shared[place]] });
          if (shade) cell.style.background = heat(shade);
          return cell;
        });
        const row = make("button", { type: "button", cls: "strip", title: latent.why.join("; ") }, make("span", { cls: "name", text: latent.latent }), make("span", { cls: "cells" }, ...cells));
        row.addEventListener("click", () => {
          all(".strip", strips).forEach((each) => each.setAttribute("aria-pressed", each === row));
          shown.replaceChildren(detail(sae, latent));
        });
        return row;
      });
      strips.replaceChildren(...rows);
      shown.replaceChildren();
      rows[0]?.click();
    };
    const kinds = () => {
      const sae = saes[Number(which.value)];
      const had = kind.value;
      const there = Object.keys(names).filter((name) => sae.latents.some((latent) => sort(latent).includes(name)));
      kind.replaceChildren(...there.map((name) => make("option", { value: name, text: names[name] })));
      if (there.includes(had)) kind.value = had;
      show();
    };
    which.addEventListener("change", kinds);
    kind.addEventListener("change", show);
    which.value = first;
    node.replaceChildren(make("div", { cls: "pick" }, which, kind), strips, shown);
    kinds();
  };
  if (saes.length) {
    const steady = saes.findLastIndex((sae) => sae.label === "temporal" || sae.label === "contrastive" || sae.label === "tsae");
    const plain = saes.findLastIndex((sae) => sae.run === saes[Math.max(steady, 0)].run && sae.label === saes[0].label);
    all(".side").forEach((node, place) => side(node, String(place === 0 ? Math.max(plain, 0) : steady < 0 ? saes.length - 1 : steady)));
  }
})();
