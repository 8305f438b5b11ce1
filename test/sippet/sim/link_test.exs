defmodule Sippet.Sim.LinkTest do
  use ExUnit.Case, async: true

  alias Sippet.Sim.Link

  # The fates of a thousand messages of a direction, one each 100 ms.
  defp fates(options, travel \\ [{1, 2}, :udp, false]) do
    {seed, options} = Keyword.pop(options, :seed, 1)
    [pair, protocol, reliable] = travel

    {fates, _link} =
      Enum.map_reduce(0..999, Link.new(seed, Link.validate!(options)), fn number, link ->
        Link.travel(link, pair, protocol, reliable, number * 100)
      end)

    fates
  end

  defp delays(fates) do
    for {{:arrives, times}, number} <- Enum.with_index(fates),
        time <- times,
        do: time - number * 100
  end

  test "without options everything arrives at once" do
    assert delays(fates([])) == List.duplicate(0, 1_000)
  end

  test "losses and copies are as likely as they are to be" do
    # Of a thousand trials 5 standard deviations are less than 80.
    for probability <- [0.1, 0.5, 0.9] do
      assert_in_delta Enum.count(fates(loss: probability), &(&1 == :lost)),
                      probability * 1_000,
                      80

      twice = Enum.count(fates(duplicate: probability), &match?({:arrives, [_, _]}, &1))
      assert_in_delta twice, probability * 1_000, 80
    end

    assert Enum.all?(fates(loss: 1), &(&1 == :lost))
    refute Enum.any?(fates(loss: 0), &(&1 == :lost))
  end

  test "a delay may be any of its range, and no other" do
    delays = delays(fates(delay: 10..12, duplicate: 0.5))
    assert Enum.uniq(delays) |> Enum.sort() == [10, 11, 12]

    for delay <- 10..12,
        do: assert_in_delta(Enum.count(delays, &(&1 == delay)) / length(delays), 1 / 3, 0.08)
  end

  test "what is held back is overtaken" do
    fates = fates(delay: 5, reorder: 0.2, hold: 200..300)
    {held, others} = Enum.split_with(delays(fates), &(&1 > 5))
    assert_in_delta length(held), 200, 80
    assert Enum.all?(held, &(&1 in 205..305))
    assert Enum.all?(others, &(&1 == 5))
    times = for {:arrives, [time]} <- fates, do: time
    assert times != Enum.sort(times)
  end

  test "luck depends on the seed and the direction, and not on the probabilities" do
    lost = fn fates -> for {:lost, number} <- Enum.with_index(fates), do: number end
    few = lost.(fates(loss: 0.1))
    many = lost.(fates(loss: 0.4, duplicate: 0.5, delay: 1..1_000, reorder: 0.5))
    assert few != [] and few -- many == []
    assert lost.(fates(loss: 0.1)) == few
    assert lost.(fates(loss: 0.1, seed: 2)) != few
    assert lost.(fates([loss: 0.1], [{2, 1}, :udp, false])) != few
  end

  test "a reliable protocol loses nothing, doubles nothing and keeps the order" do
    options = [loss: 1, duplicate: 1, reorder: 1, delay: 0..1_000]
    fates = fates(options, [{1, 2}, :tcp, true])
    times = for {:arrives, [time]} <- fates, do: time
    assert length(times) == 1_000
    assert times == Enum.sort(times)
    assert Enum.all?(delays(fates), &(&1 in 0..1_000))
  end

  test "a cut is one of a direction, and leaves the luck of what comes after it alone" do
    link = Link.new(1, Link.validate!(loss: 0.5))
    {fates, _link} = Enum.map_reduce(1..20, link, &Link.travel(&2, {1, 2}, :udp, false, &1))

    {[_ | _] = cut, link} =
      Enum.map_reduce(
        1..10,
        Link.cut(link, {1, 2}, nil),
        &Link.travel(&2, {1, 2}, :udp, false, &1)
      )

    assert Enum.uniq(cut) == [:cut]
    {{:refused, :closed}, _link} = Link.travel(link, {1, 2}, :tcp, true, 1)
    {fate, _link} = Link.travel(Link.cut(link, {1, 2}, :econnrefused), {1, 2}, :udp, false, 1)
    assert fate == {:refused, :econnrefused}
    {other, _link} = Link.travel(Link.put(link, {2, 1}, loss: 0), {2, 1}, :udp, false, 1)
    assert other == {:arrives, [1]}

    {after_cut, _link} =
      Enum.map_reduce(11..20, Link.heal(link, {1, 2}), &Link.travel(&2, {1, 2}, :udp, false, &1))

    assert after_cut == Enum.drop(fates, 10)
  end
end
