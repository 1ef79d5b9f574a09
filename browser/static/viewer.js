// The image viewer of a sample: zoom and move by wheel, drag and keys; window and level.

const LARGEST = 12;

export function startViewer(viewer) {
  if (!viewer) return;
  const layers = viewer.querySelector(".layers");
  const place = { scale: 1, x: 0, y: 0 };

  function draw() {
    const { width, height } = viewer.getBoundingClientRect();
    place.x = Math.min(0, Math.max(width * (1 - place.scale), place.x));
    place.y = Math.min(0, Math.max(height * (1 - place.scale), place.y));
    layers.style.transform = `translate(${place.x}px, ${place.y}px) scale(${place.scale})`;
  }

  function zoom(factor, x = viewer.clientWidth / 2, y = viewer.clientHeight / 2) {
    const scale = Math.min(LARGEST, Math.max(1, place.scale * factor));
    place.x = x - ((x - place.x) * scale) / place.scale;
    place.y = y - ((y - place.y) * scale) / place.scale;
    place.scale = scale;
    draw();
  }

  function move(x, y) {
    place.x += x;
    place.y += y;
    draw();
  }

  function reset() {
    Object.assign(place, { scale: 1, x: 0, y: 0 });
    draw();
  }

  viewer.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = viewer.getBoundingClientRect();
    zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  viewer.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    viewer.focus();
    viewer.setPointerCapture(event.pointerId);
  });
  viewer.addEventListener("pointermove", (event) => {
    if (viewer.hasPointerCapture(event.pointerId)) move(event.movementX, event.movementY);
  });
  viewer.addEventListener("dblclick", reset);
  const keys = {
    "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), 0: reset,
    ArrowLeft: () => move(40, 0), ArrowRight: () => move(-40, 0),
    ArrowUp: () => move(0, 40), ArrowDown: () => move(0, -40),
  };
  viewer.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  const buttons = { in: () => zoom(1.25), out: () => zoom(0.8), reset };
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => buttons[button.dataset.zoom]());
  }
  startWindow(viewer.querySelector(".image"));
}

// Grey values from level - window / 2 to level + window / 2 are spread over black to white.
async function startWindow(image) {
  const [width, level] = ["window", "level"].map((id) => document.getElementById(id));
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", image.alt);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const original = context.getImageData(0, 0, canvas.width, canvas.height);
  const shown = context.createImageData(original);

  function apply() {
    const least = Number(level.value) - Number(width.value) / 2;
    const table = Uint8ClampedArray.from(
      { length: 256 }, (_, grey) => ((grey - least) * 255) / Number(width.value));
    for (let at = 0; at < shown.data.length; at += 4) {
      shown.data[at] = table[original.data[at]];
      shown.data[at + 1] = table[original.data[at + 1]];
      shown.data[at + 2] = table[original.data[at + 2]];
      shown.data[at + 3] = original.data[at + 3];
    }
    context.putImageData(shown, 0, 0);
    if (image.isConnected) image.replaceWith(canvas); // as soon as it differs from the file
  }

  for (const slider of [width, level]) slider.addEventListener("input", apply);
}
