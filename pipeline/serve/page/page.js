"use strict";
// The form is made from the server's own description (/openapi.json). A task may show its answers in its own way:
// task.js then sets window.task = { example(model), show(place, answer) }, both optional.

const $ = (id) => document.getElementById(id);
const fields = new Map();  // by property: a function that gives its value, undefined where it is left out

const resolve = (description, schema) =>
  schema.$ref ? resolve(description, description.components.schemas[schema.$ref.split("/").pop()]) : schema;

/** The kinds of JSON that a property may be, and what is said of the first that is not null. */
function kindOf(description, schema) {
  const options = (schema.anyOf || [schema]).map((one) => resolve(description, one));
  const main = options.find((one) => one.type !== "null") || {};
  return { ...main, types: [main.type].flat().filter((type) => type !== "null") };
}

function labelled(name, hint, input) {
  const label = document.createElement("label");
  const small = document.createElement("span");
  small.className = "hint";
  small.textContent = hint ? ` ${hint}` : "";
  label.append(name, small, input);
  return label;
}

function element(tag, attributes) {
  return Object.assign(document.createElement(tag), attributes);
}

function base64(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** One input for a property, and the function that reads it. */
function makeField(name, kind, isRequired, given) {
  const initial = given ?? kind.default ?? null;
  const hint = [isRequired ? "" : "may be left out", kind.description || ""].filter(Boolean).join("; ");
  let input, read;
  if (kind.contentEncoding === "base64") {
    input = element("input", { type: "file" });
    let sent;
    input.addEventListener("change", async () => {
      sent = input.files.length ? base64(new Uint8Array(await input.files[0].arrayBuffer())) : undefined;
      refresh();
    });
    read = () => sent;
  } else if (kind.enum) {
    input = element("select", {});
    if (!isRequired) input.append(element("option", { value: "", textContent: "" }));
    for (const one of kind.enum) input.append(element("option", { value: JSON.stringify(one), textContent: one }));
    if (initial !== null) input.value = JSON.stringify(initial);
    read = () => (input.value ? JSON.parse(input.value) : undefined);
  } else if (kind.types.length === 1 && ["number", "integer"].includes(kind.types[0])) {
    input = element("input", { type: "number", step: kind.types[0] === "integer" ? "1" : "any", value: initial ?? "" });
    if (isRequired && initial === null) input.value = Math.max(kind.minimum ?? 0, 0);
    read = () => (input.value === "" ? undefined : Number(input.value));
  } else if (kind.types.length === 1 && kind.types[0] === "string") {
    input = element("input", { type: "text", value: initial ?? "" });
    read = () => (input.value === "" && !isRequired ? undefined : input.value);
  } else {
    const empty = isRequired ? (kind.types.includes("array") ? "[]" : "{}") : "";
    input = element("textarea", { rows: given ? 8 : 2, spellcheck: false });
    input.value = initial === null ? empty : JSON.stringify(initial, null, 1);
    read = () => (input.value.trim() === "" ? undefined : JSON.parse(input.value));
  }
  input.id = `field-${name}`;
  input.addEventListener("input", refresh);
  fields.set(name, read);
  return labelled(name, hint, input);
}

/** The request as the fields say it, into the text that is sent. */
function refresh() {
  try {
    const body = {};
    for (const [name, read] of fields) {
      const value = read();
      if (value !== undefined) body[name] = value;
    }
    $("body").value = JSON.stringify(body, null, 1);
    say("");
  } catch (error) {
    say(`this is not JSON yet: ${error.message}`);
  }
}

function say(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

function headers() {
  const key = $("key").value;
  return { "content-type": "application/json", ...(key ? { authorization: `Bearer ${key}` } : {}) };
}

async function askModel(event) {
  event.preventDefault();
  const button = document.querySelector("#form button");
  button.disabled = true;
  const started = performance.now();
  try {
    const response = await fetch("v1/predict", { method: "POST", headers: headers(), body: $("body").value });
    const answer = await response.json();
    const took = (performance.now() - started).toFixed(0);
    $("state").textContent = response.ok ? `${answer.model}, ${took} ms with the way there and back` : `${response.status}`;
    say(response.ok ? answer.error || "" : [answer.detail, answer.where, answer.next].filter(Boolean).join("\n"));
    $("shown").replaceChildren();
    if (response.ok && !answer.error) window.task?.show?.($("shown"), answer);
    $("answer").textContent = JSON.stringify(answer, null, 1);
    $("answer").hidden = false;
  } catch (error) {
    $("state").textContent = "no answer";
    say(`the server did not answer: ${error.message}`);
  }
  button.disabled = false;
}

async function begin() {
  const description = await (await fetch("openapi.json")).json();
  $("title").textContent = description.info.title;
  document.title = description.info.title;
  $("key-field").hidden = !description.components.securitySchemes?.key;
  const response = await fetch("v1/model", { headers: headers() });
  const model = response.ok ? await response.json() : null;
  $("model").textContent = model ? `version ${model.version}, ${model.model}` : "";
  const post = description.paths["/v1/predict"].post;
  const schema = resolve(description, post.requestBody.content["application/json"].schema);
  const example = window.task?.example?.(model) || {};
  for (const [name, property] of Object.entries(schema.properties)) {
    const isRequired = (schema.required || []).includes(name);
    const kind = { ...kindOf(description, property), default: property.default };
    $("fields").append(makeField(name, kind, isRequired, example[name]));
  }
  refresh();
  $("form").addEventListener("submit", askModel);
}

begin().catch((error) => say(`the server does not describe itself: ${error.message}`));
