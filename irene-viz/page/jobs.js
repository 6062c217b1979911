// Not filled yet.

import { loadingState } from "./states.js";

export function createJobsView(panel) {
  panel.append(loadingState());
  return { render() {} };
}
