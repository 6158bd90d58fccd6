// The npm packages that the peers are, from spec/package-lock.json.
export { stream } from "../../spec/node_modules/@durable-streams/client/dist/index.js"
export { MaterializedState } from "../../spec/node_modules/@durable-streams/state/dist/index.js"
