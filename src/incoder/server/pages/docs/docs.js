// Lists the routes of /openapi.json, and sends a request to one of them. All text goes in as text, never as HTML.
"use strict";

const EXAMPLES = {
  "/v1/completions": { prompt: "def mean(xs):\n    return ", suffix: "\n", temperature: 0 },
  "/v1/infill": { text: "import <FILL>\n\n\ndef mean(xs):\n    return <FILL>\n", num_candidates: 2 },
  "/infill": { input_prefix: "def mean(xs):\n    return ", input_suffix: "\n", n_predict: 32 },
};

function element(name, text, ...children) {
  const made = document.createElement(name);
  if (text !== null) made.textContent = text;
  made.append(...children);
  return made;
}

function kind(schema) {
  if (schema.anyOf) return schema.anyOf.map(kind).join(" or ");
  if (schema.enum) return schema.enum.map(value => JSON.stringify(value)).join(", ");
  const bounds = "minimum" in schema ? ` in [${schema.minimum}, ${schema.maximum ?? "…"}]` : "";
  return [schema.type].flat().filter(Boolean).join(" or ") + bounds;
}

function fields(schema) {
  const table = element("table", null);
  const required = schema.required ?? [];
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    const shown = name + (required.includes(name) ? " (required)" : "");
    table.append(element("tr", null, element("td", shown), element("td", kind(field))));
  }
  return table;
}

function form(method, path, schema) {
  const body = element("textarea", JSON.stringify(EXAMPLES[path] ?? {}, null, 2));
  const button = element("button", "Send"), answer = element("pre", "");
  button.addEventListener("click", async () => {
    answer.textContent = "…";
    const headers = { "content-type": "application/json" };
    const key = document.getElementById("key").value;
    if (key) headers.authorization = `Bearer ${key}`;
    try {
      const response = await fetch(path, { method, headers, body: schema ? body.value : undefined });
      const text = await response.text();
      answer.textContent = `${response.status}\n${text}`;
    } catch (error) {
      answer.textContent = String(error);
    }
  });
  return schema ? [fields(schema), body, button, answer] : [button, answer];
}

async function show() {
  const description = await (await fetch("/openapi.json")).json();
  const list = document.getElementById("routes");
  for (const [path, methods] of Object.entries(description.paths)) {
    for (const [method, route] of Object.entries(methods)) {
      const schema = route.requestBody?.content["application/json"].schema;
      const summary = element("summary", null, element("code", `${method.toUpperCase()} ${path}`), ` ${route.summary}`);
      list.append(element("details", null, summary, ...form(method.toUpperCase(), path, schema)));
    }
  }
}

show();
