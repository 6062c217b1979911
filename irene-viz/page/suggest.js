// Not filled yet.

import { loadingState } from "./states.js";

export function createSuggestView(panel) {
  panel.append(loadingState());
  return { render() {} };
}
