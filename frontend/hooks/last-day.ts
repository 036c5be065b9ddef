import { type Candle, getCandles } from "../api";
import { type Resource, useResource } from "./resource";

const HOURS = 24;

/** The last day of an instrument in bars of an hour, for a line beside its price. */
export function useLastDay(symbol: string): Resource<Candle[]> {
  return useResource(`last day:${symbol}`, (signal) => getCandles(symbol, "1h", HOURS, signal));
}
