// The text table: see text_table.py for its data. Every cell is text, never markup.

export default function (component) {
  const { data, parentElement } = component;
  const told = JSON.stringify(data);
  const frame = parentElement.querySelector(".frame");
  if (frame.dataset.told === told) return;
  frame.dataset.told = told;
  frame.setAttribute("aria-label", data.caption);
  frame.querySelector("caption").textContent = data.caption;
  frame.querySelector("thead").replaceChildren(row(data.titles, () => cell("th", "col")));
  frame
    .querySelector("tbody")
    .replaceChildren(
      ...data.rows.map((texts) =>
        row(texts, (place) => (place === 0 ? cell("th", "row") : cell("td"))),
      ),
    );
}

function row(texts, make) {
  const line = document.createElement("tr");
  texts.forEach((text, place) => {
    const made = make(place);
    made.textContent = text;
    line.append(made);
  });
  return line;
}

function cell(name, scope) {
  const made = document.createElement(name);
  if (scope) made.scope = scope;
  return made;
}
