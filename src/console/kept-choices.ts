/** A choice that this browser keeps; null where there is none, or where the browser keeps nothing. */
export function keptChoice(name: string): string | null {
  try {
    return localStorage.getItem(`bloom.${name}`);
  } catch {
    return null;
  }
}

export function keepChoice(name: string, value: string): void {
  try {
    localStorage.setItem(`bloom.${name}`, value);
  } catch {
    // The choice lasts as long as the page.
  }
}
