// Not filled yet.

import { loadingState } from "./states.js";

export function createWhatIfView(panel) {
  panel.append(loadingState());
  return { render() {} };
}
