// The form with the settings. Shows a value and reads it back; a field that is out of its range keeps its value.

import type { ModelEntry } from "./api.js";
import { byId } from "./dom.js";
import { RANGES, type Settings, settingsFrom, summary } from "./settings.js";

const NUMBERS = ["numCandidates", "temperature", "topP", "maxNewTokens", "seed"] as const;

export class SettingsView {
  private readonly form = byId("settings", HTMLFormElement);
  private models: readonly ModelEntry[] = [];

  constructor(
    private value: Settings,
    private readonly onChange: () => void,
  ) {
    for (const name of NUMBERS) {
      const [least, most] = RANGES[name];
      this.input(name).min = String(least);
      this.input(name).max = String(most);
    }
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => this.read());
    this.form.addEventListener("change", () => this.show(this.value));
    this.show(value);
  }

  get settings(): Settings {
    return this.value;
  }

  /** Shows settings; a model that the server does not have becomes its first one. */
  show(value: Settings): void {
    const isServed = this.models.length === 0 || this.models.some((one) => one.id === value.model);
    this.value = isServed ? value : { ...value, model: this.models[0]?.id ?? "" };
    for (const name of NUMBERS) this.input(name).value = this.value[name] === null ? "" : String(this.value[name]);
    this.select("model").value = this.value.model;
    this.select("lines").value = this.value.lines;
    this.input("stoppingRules").checked = this.value.stoppingRules;
    byId("settings-summary", HTMLElement).textContent = summary(this.value);
  }

  /** Offers the models of the server. */
  offer(models: readonly ModelEntry[]): void {
    this.models = models;
    this.select("model").replaceChildren(
      ...models.map((one) => new Option(one.capabilities.infill ? one.id : `${one.id} (completes only)`, one.id)),
    );
    this.show(this.value);
  }

  private read(): void {
    const typed = Object.fromEntries(
      NUMBERS.map((name) => {
        const input = this.input(name);
        const isEmpty = input.value === "" && !input.validity.badInput;
        return [name, isEmpty && name === "seed" ? null : isValid(input) ? input.valueAsNumber : this.value[name]];
      }),
    );
    this.value = settingsFrom({
      ...typed,
      model: this.select("model").value,
      lines: this.select("lines").value,
      stoppingRules: this.input("stoppingRules").checked,
    });
    byId("settings-summary", HTMLElement).textContent = summary(this.value);
    this.onChange();
  }

  private input(name: string): HTMLInputElement {
    return byId(`setting-${name}`, HTMLInputElement);
  }

  private select(name: string): HTMLSelectElement {
    return byId(`setting-${name}`, HTMLSelectElement);
  }
}

function isValid(input: HTMLInputElement): boolean {
  return !Number.isNaN(input.valueAsNumber) && !input.validity.rangeUnderflow && !input.validity.rangeOverflow;
}
