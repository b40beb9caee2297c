package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"text/tabwriter"
)

// A result is what a case has come to: the medians of its rounds, in events a
// second, and ours in proportion to the others.
type result struct {
	kase
	OursPerS  float64 `json:"ours_per_s"`
	StockPerS float64 `json:"stock_per_s"`
	RawPerS   float64 `json:"raw_per_s"`
	VsStock   float64 `json:"vs_stock"`
	VsRaw     float64 `json:"vs_raw"`
}

func newResult(k kase, ours, stock, raw float64) result {
	return result{
		kase:     k,
		OursPerS: math.Round(ours), StockPerS: math.Round(stock), RawPerS: math.Round(raw),
		VsStock: hundredths(ours / stock), VsRaw: hundredths(ours / raw),
	}
}

func hundredths(x float64) float64 { return math.Round(x*100) / 100 }

func writeJSON(w io.Writer, figures any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(figures)
}

func writeTable(w io.Writer, results []result) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "calls\treads\tconns\tours/s\tstock/s\traw/s\tvs stock\tvs raw\t")
	for _, r := range results {
		fmt.Fprintf(t, "%d\t%d\t%d\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\t\n",
			r.Calls, r.Reads, r.Conns, r.OursPerS, r.StockPerS, r.RawPerS, r.VsStock, r.VsRaw)
	}
	return t.Flush()
}

func writePoints(w io.Writer, points []point) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "instances\tevents\treloads\tserving MiB\tkeeper MiB\t")
	for _, p := range points {
		fmt.Fprintf(t, "%d\t%d\t%d\t%.1f\t%.1f\t\n",
			p.Instances, p.Events, p.Reloads, float64(p.ServingKiB)/1024, float64(p.KeeperKiB)/1024)
	}
	return t.Flush()
}
