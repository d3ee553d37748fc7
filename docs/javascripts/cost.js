"use strict";
// The calculator of cost.md. Speeds of pretraining as measured (docs/speed.md, docs/pretraining.md).
(() => {
  const MACHINES = [
    ["two CPU cores, fp32", 5298],
    ["two CPU cores with bfloat16", 11540],
    ["one H200", 190000],
  ];
  const start = () => {
    const element = (id) => document.getElementById(id);
    if (!element("calculator")) return;
    const number = (id) => Math.max(0, Number(element(id).value) || 0);
    const machine = element("machine");
    for (const [name, rate] of MACHINES) machine.add(new Option(name, String(rate)));
    machine.selectedIndex = 1;
    element("rate").value = machine.value;

    const time = (hours) => {
      if (!Number.isFinite(hours)) return "–";
      if (hours < 1 / 60) return "less than a minute";
      if (hours < 1) return `${Math.round(hours * 60)} minutes`;
      if (hours < 48) return `${hours.toFixed(1)} hours`;
      return `${(hours / 24).toFixed(1)} days`;
    };
    const cost = (hours) => {
      const parts = [time(hours)];
      if (Number.isFinite(hours)) {
        parts.push(`${((hours * number("watts")) / 1000).toFixed(2)} kWh`);
        if (number("price") > 0) parts.push(`${(hours * number("price")).toFixed(2)} at your price`);
      }
      return parts.join(" · ");
    };
    const compute = () => {
      const pretraining = (number("words") * 1e6 * number("epochs")) / number("rate") / 3600;
      const tagging = (number("documents") * 1e3 * number("length")) / number("tagging") / 3600;
      element("pretraining").textContent = cost(pretraining);
      element("documents-time").textContent = cost(tagging);
      element("together").textContent = cost(pretraining + tagging);
    };
    machine.addEventListener("change", () => {
      element("rate").value = machine.value;
      compute();
    });
    element("calculator").addEventListener("input", compute);
    compute();
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
