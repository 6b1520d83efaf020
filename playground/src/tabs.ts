// Tabs as screen readers and keyboards know them: one tab is focusable, and the arrow keys move.

/** Makes tabs of the buttons in a list; each names its panel by `aria-controls`. `onShow` gets the panel's id. */
export class Tabs {
  private readonly buttons: HTMLButtonElement[];

  constructor(
    list: HTMLElement,
    private readonly onShow: (panel: string) => void,
  ) {
    this.buttons = [...list.querySelectorAll("button")];
    for (const button of this.buttons) button.addEventListener("click", () => this.show(panelOf(button)));
    list.addEventListener("keydown", (event) => this.move(event));
  }

  /** The id of the panel that is shown. */
  get shown(): string {
    return panelOf(this.buttons.find((button) => button.getAttribute("aria-selected") === "true"));
  }

  show(panel: string): void {
    for (const button of this.buttons) {
      const isShown = panelOf(button) === panel;
      button.setAttribute("aria-selected", String(isShown));
      button.tabIndex = isShown ? 0 : -1;
      const content = document.getElementById(panelOf(button));
      if (content !== null) content.hidden = !isShown;
    }
    this.onShow(panel);
  }

  private move(event: KeyboardEvent): void {
    const index = this.buttons.indexOf(document.activeElement as HTMLButtonElement);
    const last = this.buttons.length - 1;
    const targets: Record<string, number> = {
      ArrowRight: index === last ? 0 : index + 1,
      ArrowLeft: index === 0 ? last : index - 1,
      Home: 0,
      End: last,
    };
    const target = targets[event.key];
    const button = target === undefined ? undefined : this.buttons[target];
    if (index < 0 || button === undefined) return;
    event.preventDefault();
    button.focus();
    this.show(panelOf(button));
  }
}

function panelOf(button: HTMLButtonElement | undefined): string {
  return button?.getAttribute("aria-controls") ?? "";
}
