import { useEffect } from "react";
import type { Refusals } from "../http";

/** The first field that was refused takes the focus: on a phone it may be far above the button. */
export function useFirstError(form: { current: HTMLFormElement | null }, refusals: Refusals): void {
  // biome-ignore lint/correctness/useExhaustiveDependencies: the form is the same throughout
  useEffect(() => {
    if (Object.keys(refusals).length === 0) return;
    form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
  }, [refusals]);
}
