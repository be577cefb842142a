// A cursor through all plots of an asset, with the readings at its time.
for (const section of document.querySelectorAll("section.asset")) {
  const data = JSON.parse(section.querySelector("script.data").textContent);
  const nearest = (times, target) => {
    let low = 0, high = times.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] < target) low = middle + 1; else high = middle;
    }
    return low > 0 && target - times[low - 1] < times[low] - target ? low - 1 : low;
  };
  const show = (seconds) => {
    const at = data.left + seconds / (data.high - data.low) * (data.right - data.left);
    for (const line of section.querySelectorAll(".cursor")) {
      line.setAttribute("x1", at);
      line.setAttribute("x2", at);
    }
    const row = nearest(data.times, seconds), result = nearest(data.resultTimes, seconds);
    const clock = new Date((data.low + data.times[row]) * 1000).toISOString().slice(11, 19);
    for (const output of section.querySelectorAll("output")) {
      const name = output.dataset.series;
      if (name === "confidence") {
        const value = data.confidence[result];
        const label = value == null ? "no decision: " + (data.reasons[result] || "no result yet") : value.toFixed(3);
        output.textContent = clock + "  " + label;
      } else {
        const value = data.series[name][row];
        output.textContent = value == null ? "missing" : value.toPrecision(4) + " " + data.units[name];
      }
    }
  };
  const hide = () => {
    for (const line of section.querySelectorAll(".cursor")) {
      line.setAttribute("x1", -9);
      line.setAttribute("x2", -9);
    }
    for (const output of section.querySelectorAll("output")) output.textContent = "";
  };
  for (const svg of section.querySelectorAll("svg")) {
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
      const part = (x - data.left) / (data.right - data.left);
      if (part < 0 || part > 1) hide(); else show(part * (data.high - data.low));
    });
    svg.addEventListener("pointerleave", hide);
  }
}
