defmodule Sippet.Message.HeadersTest do
  # The functions of Sippet.Message that read and change header fields.
  use ExUnit.Case, async: true

  alias Sippet.Message

  @empty Message.build_response(200)

  defp having(headers), do: %{@empty | headers: headers}
  defp headers(message), do: message.headers

  describe "putting" do
    test "sets, and sets only when absent" do
      message = Message.put_header(@empty, :a, %{b: 1})
      assert message.headers == %{a: %{b: 1}}
      assert Message.put_header(message, :a, 2).headers == %{a: 2}
      assert Message.put_new_header(message, :a, 2) == message
      assert Message.put_new_header(message, :c, 2).headers == %{a: %{b: 1}, c: 2}
      assert Message.put_new_lazy_header(message, :a, fn -> flunk("called") end) == message
      assert Message.put_new_lazy_header(message, :c, fn -> 3 end).headers.c == 3
    end

    test "at the ends makes or grows a list" do
      assert headers(Message.put_header_front(@empty, :a, 1)) == %{a: [1]}
      assert headers(Message.put_header_back(@empty, :a, 1)) == %{a: [1]}
      assert headers(Message.put_header_front(having(%{a: [1]}), :a, 2)) == %{a: [2, 1]}
      assert headers(Message.put_header_back(having(%{a: [1]}), :a, 2)) == %{a: [1, 2]}
      assert headers(Message.put_header_back(@empty, :a, nil)) == %{a: []}
      assert headers(Message.put_header_front(having(%{a: [1]}), :a, nil)) == %{a: [1]}
    end

    test "at the ends of what is no list raises and names the header field" do
      for put <- [&Message.put_header_front/3, &Message.put_header_back/3] do
        assert_raise ArgumentError, "expected header :contact to hold a list, got: \"*\"", fn ->
          put.(having(%{contact: "*"}), :contact, 1)
        end
      end
    end
  end

  describe "deleting" do
    test "takes what is there" do
      message = having(%{a: 1, b: 2, c: 3})
      assert headers(Message.delete_header(message, :a)) == %{b: 2, c: 3}
      assert Message.delete_header(message, :d) == message
      assert headers(Message.drop_headers(message, [:a, :c, :d])) == %{b: 2}
    end

    test "at the ends takes one value, and the header field with the last" do
      message = having(%{a: [1, 2]})
      assert headers(Message.delete_header_front(message, :a)) == %{a: [2]}
      assert headers(Message.delete_header_back(message, :a)) == %{a: [1]}

      for delete <- [&Message.delete_header_front/2, &Message.delete_header_back/2] do
        assert headers(delete.(having(%{a: [1]}), :a)) == %{}
        assert headers(delete.(having(%{a: []}), :a)) == %{}
        assert delete.(message, :b) == message
      end
    end
  end

  describe "fetching" do
    test "tells what is absent" do
      message = having(%{a: [1, 2], b: [], c: 3})
      assert Message.fetch_header(message, :c) == {:ok, 3}
      assert Message.fetch_header(message, :d) == :error
      assert Message.fetch_header_front(message, :a) == {:ok, 1}
      assert Message.fetch_header_back(message, :a) == {:ok, 2}
      assert Message.fetch_header_front(message, :b) == {:ok, nil}
      assert Message.fetch_header_back(message, :b) == {:ok, nil}
      assert Message.fetch_header_front(message, :c) == :error
      assert Message.fetch_header_back(message, :d) == :error
      assert Message.has_header?(message, :b)
      refute Message.has_header?(message, :d)
    end

    test "by force raises KeyError where the header field is absent" do
      message = having(%{a: [1, 2], b: [], c: 3})
      assert Message.fetch_header!(message, :c) == 3
      assert Message.fetch_header_front!(message, :a) == 1
      assert Message.fetch_header_back!(message, :a) == 2
      assert Message.fetch_header_front!(message, :b) == nil

      for fetch <- [
            &Message.fetch_header!/2,
            &Message.fetch_header_front!/2,
            &Message.fetch_header_back!/2
          ] do
        assert_raise KeyError, fn -> fetch.(message, :d) end
      end

      assert_raise ArgumentError, fn -> Message.fetch_header_back!(message, :c) end
    end
  end

  describe "getting" do
    test "has a default for what is absent, not for an empty list" do
      message = having(%{a: [1, 2], b: [], c: 3})
      assert Message.get_header(message, :c) == 3
      assert Message.get_header(message, :d) == nil
      assert Message.get_header(message, :d, 4) == 4

      assert {Message.get_header_front(message, :a), Message.get_header_back(message, :a)} ==
               {1, 2}

      assert {Message.get_header_front(message, :b, 4), Message.get_header_back(message, :b, 4)} ==
               {nil, nil}

      assert {Message.get_header_front(message, :d, 4), Message.get_header_back(message, :d)} ==
               {4, nil}

      assert_raise ArgumentError, fn -> Message.get_header_front(message, :c) end
    end
  end

  describe "updating" do
    test "applies the function to what is there only" do
      assert headers(Message.update_header(having(%{a: 1}), :a, 5, &(&1 + 1))) == %{a: 2}
      assert headers(Message.update_header(@empty, :a, 5, &(&1 + 1))) == %{a: 5}
      assert headers(Message.update_header(@empty, :a, &(&1 + 1))) == %{a: nil}
    end

    test "at the ends puts the initial value where there is none" do
      message = having(%{a: [1, 2]})
      assert headers(Message.update_header_front(message, :a, &(&1 + 5))) == %{a: [6, 2]}
      assert headers(Message.update_header_back(message, :a, 9, &(&1 + 5))) == %{a: [1, 7]}

      for update <- [&Message.update_header_front/4, &Message.update_header_back/4],
          headers <- [%{}, %{a: []}] do
        assert headers(update.(having(headers), :a, {1, 2}, & &1)) == %{a: [{1, 2}]}
        assert headers(update.(having(headers), :a, nil, & &1)) == %{a: []}
      end
    end
  end

  describe "popping" do
    test "gives value and rest" do
      message = having(%{a: 1})
      assert Message.pop_header(message, :a) == {1, @empty}
      assert Message.pop_header(message, :b) == {nil, message}
      assert Message.pop_header(message, :b, 2) == {2, message}
    end

    test "at the ends removes the header field with its last value" do
      assert Message.pop_header_front(having(%{a: [1, 2]}), :a) == {1, having(%{a: [2]})}
      assert Message.pop_header_back(having(%{a: [1, 2]}), :a) == {2, having(%{a: [1]})}

      for pop <- [&Message.pop_header_front/3, &Message.pop_header_back/3] do
        assert pop.(having(%{a: [1]}), :a, 3) == {1, @empty}
        assert pop.(having(%{a: []}), :a, 3) == {3, @empty}
        assert pop.(@empty, :a, nil) == {nil, @empty}
      end
    end
  end

  describe "getting and updating" do
    test "works as for maps" do
      message = having(%{a: 1})
      assert Message.get_and_update_header(message, :a, &{&1, 2}) == {1, having(%{a: 2})}
      assert Message.get_and_update_header(message, :b, &{&1, 2}) == {nil, having(%{a: 1, b: 2})}
      assert Message.get_and_update_header(message, :a, fn _ -> :pop end) == {1, @empty}
    end

    test "at the ends replaces, or takes away with nil or :pop" do
      message = having(%{a: [1, 2, 3]})

      assert Message.get_and_update_header_front(message, :a, &{&1, 9}) ==
               {1, having(%{a: [9, 2, 3]})}

      assert Message.get_and_update_header_back(message, :a, &{&1, 9}) ==
               {3, having(%{a: [1, 2, 9]})}

      assert Message.get_and_update_header_front(message, :a, &{&1, nil}) ==
               {1, having(%{a: [2, 3]})}

      assert Message.get_and_update_header_back(message, :a, &{&1, nil}) ==
               {3, having(%{a: [1, 2]})}

      assert Message.get_and_update_header_front(message, :a, fn _ -> :pop end) ==
               {1, having(%{a: [2, 3]})}

      assert Message.get_and_update_header_back(message, :a, fn _ -> :pop end) ==
               {3, having(%{a: [1, 2]})}
    end

    test "at the ends of nothing gets nil" do
      for update <- [
            &Message.get_and_update_header_front/3,
            &Message.get_and_update_header_back/3
          ],
          headers <- [%{}, %{a: []}] do
        assert update.(having(headers), :a, fn nil -> {:got, 9} end) == {:got, having(%{a: [9]})}
        assert update.(having(headers), :a, fn nil -> {:got, nil} end) == {:got, having(%{a: []})}
        assert update.(having(headers), :a, fn nil -> :pop end) == {nil, @empty}
      end

      assert_raise ArgumentError, fn ->
        Message.get_and_update_header_front(@empty, :a, fn _ -> 1 end)
      end
    end
  end

  describe "string keys" do
    test "are found in any case (§7.3.1)" do
      message = having(%{"X-Vendor" => ["1"]})
      assert Message.get_header(message, "x-vendor") == ["1"]
      assert Message.fetch_header(message, "X-VENDOR") == {:ok, ["1"]}
      assert Message.has_header?(message, "x-Vendor")
      assert headers(Message.put_header(message, "x-vendor", ["2"])) == %{"X-Vendor" => ["2"]}

      assert headers(Message.put_header_back(message, "x-vendor", "2")) == %{
               "X-Vendor" => ["1", "2"]
             }

      assert headers(Message.delete_header(message, "x-vendor")) == %{}
      assert headers(Message.drop_headers(message, ["x-vendor"])) == %{}
      assert Message.pop_header(message, "x-vendor") == {["1"], @empty}
      assert headers(Message.update_header(message, "x-vendor", & &1)) == %{"X-Vendor" => ["1"]}
    end

    test "are found by their compact form, and the other way round" do
      for {compact, long} <- [
            {"a", "Accept-Contact"},
            {"b", "Referred-By"},
            {"d", "Request-Disposition"},
            {"j", "Reject-Contact"},
            {"n", "Identity-Info"},
            {"o", "Event"},
            {"r", "Refer-To"},
            {"u", "Allow-Events"},
            {"x", "Session-Expires"},
            {"y", "Identity"}
          ] do
        assert Message.get_header(having(%{long => ["1"]}), compact) == ["1"]
        assert Message.get_header(having(%{long => ["1"]}), String.upcase(compact)) == ["1"]
        assert Message.get_header(having(%{compact => ["1"]}), long) == ["1"]
      end
    end

    test "that are there as asked for come first, and atoms never" do
      message = having(%{"foo" => ["1"], "FOO" => ["2"], via: [3]})
      assert Message.get_header(message, "FOO") == ["2"]
      assert Message.get_header(message, "foo") == ["1"]
      assert Message.get_header(message, "via") == nil
      assert Message.get_header(message, "bar") == nil
    end
  end
end
