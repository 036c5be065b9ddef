/** "BTC-USDT, eth-usdt  AAPL" as it is asked for, each once. Pure. */
export function symbolsIn(text: string): string[] {
  return [
    ...new Set(
      text
        .toUpperCase()
        .split(/[\s,;]+/)
        .filter((word) => word !== ""),
    ),
  ];
}
