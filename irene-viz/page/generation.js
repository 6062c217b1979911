// Not filled yet.

import { loadingState } from "./states.js";

export function createGenerationView(panel) {
  panel.append(loadingState());
  return { render() {} };
}
