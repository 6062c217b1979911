// Not filled yet.

import { loadingState } from "./states.js";

export function createPlanView(panel) {
  panel.append(loadingState());
  return { render() {} };
}
